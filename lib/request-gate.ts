// Every HTTP request passes here before Next, whether for pages, routes or static files: removes
// untrusted forwarded headers, refuses unknown methods and hosts, and adds security headers. Next
// has no such hook: its proxy costs streams too much and never sees TRACE. Decisions are in
// lib/hosts.ts and lib/response-headers.ts.

import { subscribe } from "node:diagnostics_channel";
import { type IncomingMessage, Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { v4 as uuidv4 } from "uuid";
import { env } from "./env";
import { trackWork } from "./event-loop";
import { type HostSettings, hostOf, isAllowedHost, trustForwarded } from "./hosts";
import { logger } from "./logger";
import { processSingleton } from "./process-singletons";
import { trackRequest } from "./requests-in-flight";
import { securityHeaders } from "./response-headers";
import { methodsOf, routeName } from "./route-costs";

/**
 * Methods that some route or page supports. Next throws on TRACE, and no handler knows WebDAV's.
 */
const methods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
const allow = [...methods].join(", ");

/**
 * Guards every HTTP server of this process. Called before the first request is handled; a request
 * that arrives while Next is still loading cannot come from a page that lured a browser here.
 */
export function installRequestGate(): void {
  guardedServers();
}

const guardedServers = processSingleton("request-gate", () => {
  const guarded = new WeakSet<Server>();
  const guardOnce = (server: Server) => {
    if (guarded.has(server)) return;
    guarded.add(server);
    guard(server);
  };
  // Node publishes both before it reads or emits the request, so a server's first request is
  // guarded too. The second covers connections older than this subscription.
  subscribe("net.server.socket", (message) => {
    const { server } = (message as { socket: Socket & { server?: unknown } }).socket;
    if (server instanceof Server) guardOnce(server);
  });
  subscribe("http.server.request.start", (message) => guardOnce((message as { server: Server }).server));
  return guarded;
});

function guard(server: Server): void {
  const handlers = server.listeners("request");
  // Next listens for upgrades, so Node would close every request that offers another one, such as
  // `h2c` from Java's client.
  Object.assign(server, {
    shouldUpgradeCallback: ({ headers }: IncomingMessage) => headers.upgrade?.toLowerCase() === "websocket",
  });
  const lastAnswers = new WeakMap<Socket, ServerResponse>();
  server.removeAllListeners("request");
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    lastAnswers.set(request.socket, response);
    trackRequest(server, response);
    if (request.httpVersion === "1.0") resetWhenCut(request.socket, response);
    if (admit(request, response)) for (const handler of handlers) handler.call(server, request, response);
  });
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
    const answer = lastAnswers.get(socket);
    const answering = answer?.headersSent && !answer.writableEnded;
    // Never write into a response in progress.
    if (!socket.writable || answering || error.code === "ECONNRESET") socket.destroy(error);
    else socket.end(`HTTP/1.1 ${malformed(error.code)}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  });
}

/**
 * In HTTP/1.0 a body without a length ends with its connection: only a reset marks it as truncated.
 */
function resetWhenCut(socket: Socket, response: ServerResponse): void {
  const destroy = response.destroy;
  response.destroy = function cut(this: ServerResponse, error?: Error) {
    if (response.headersSent && !response.writableEnded) socket.resetAndDestroy();
    return Reflect.apply(destroy, this, [error]);
  };
}

/** Node's own responses, and 405 for methods its parser does not know. */
function malformed(code: string | undefined): string {
  if (code === "HPE_INVALID_METHOD") return `405 Method Not Allowed\r\nAllow: ${allow}`;
  if (code === "HPE_HEADER_OVERFLOW") return "431 Request Header Fields Too Large";
  if (code === "HPE_CHUNK_EXTENSIONS_OVERFLOW") return "413 Payload Too Large";
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return "408 Request Timeout";
  return "400 Bad Request";
}

let settings: HostSettings | undefined;

function hostSettings(): HostSettings {
  if (settings) return settings;
  const { ALLOWED_HOSTS, PUBLIC_URL, TRUST_PROXY } = env();
  // Host names under which Vercel serves a deployment.
  const vercel = ["VERCEL_URL", "VERCEL_BRANCH_URL", "VERCEL_PROJECT_PRODUCTION_URL"].flatMap(
    (name) => process.env[name] || [],
  );
  settings = { allowedHosts: [...ALLOWED_HOSTS, ...vercel], publicUrl: PUBLIC_URL, trustedHops: TRUST_PROXY };
  return settings;
}

/** False if the request was answered here. */
function admit(request: IncomingMessage, response: ServerResponse): boolean {
  const known = hostSettings();
  if (known.trustedHops === 0) warnAboutProxy(request);
  trustForwarded(request.headers, known);
  // Node passes such bytes through, and a log line with the URL would bring them to a terminal.
  request.url = request.url?.replace(/[^\x21-\x7e]/g, (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, "0")}`);
  completeHeaders(request, response);
  labelWork(request, response);
  const refusal = refusalOf(request, known);
  if (refusal) refuse(request, response, refusal);
  return !refusal;
}

/** Until the response head is written: an open stream does not block the event loop. */
function labelWork({ method = "", url = "" }: IncomingMessage, response: ServerResponse): void {
  const end = trackWork(routeName(method, url.split("?", 1)[0] ?? ""));
  const writeHead = response.writeHead;
  response.writeHead = function ended(this: ServerResponse, ...head: unknown[]) {
    end();
    return Reflect.apply(writeHead, this, head);
  } as typeof writeHead;
  response.once("close", end);
}

let warned = false;

/**
 * Behind an untrusted proxy all callers share one address and one limit. Logged once; a client may
 * send the header, too.
 */
function warnAboutProxy({ headers, socket }: IncomingMessage): void {
  if (warned || !headers["x-forwarded-for"]) return;
  warned = true;
  logger.warn(
    { peer: socket.remoteAddress },
    "X-Forwarded-For is ignored: behind a proxy, set TRUST_PROXY=1, or all its clients share one limit",
  );
}

/** Adds security headers the handler has not set, at the last moment: when the head is written. */
function completeHeaders(request: IncomingMessage, response: ServerResponse): void {
  const writeHead = response.writeHead;
  const path = request.url?.split("?", 1)[0] ?? "/";
  response.writeHead = function complete(this: ServerResponse, ...head: unknown[]) {
    const facts = {
      path,
      https: request.headers["x-forwarded-proto"] === "https",
      shared: response.hasHeader("access-control-allow-origin"),
    };
    for (const [name, value] of Object.entries(securityHeaders(facts)))
      if (!response.hasHeader(name)) response.setHeader(name, value);
    // Next flushes the head alone; cork so that writes in the same tick share its packet.
    const { socket } = this;
    if (socket) {
      socket.cork();
      process.nextTick(() => socket.uncork());
    }
    return Reflect.apply(writeHead, this, head);
  } as typeof writeHead;
}

type Refusal = { status: number; code: string; message: string; allow?: string };

function refusalOf({ method = "", url = "", headers }: IncomingMessage, known: HostSettings): Refusal | null {
  if (!methods.has(method))
    return { status: 405, code: "method_not_allowed", message: `This server accepts only ${allow}.`, allow };
  if (!url.startsWith("/"))
    return { status: 400, code: "bad_request", message: "The request target must be a path, not a URL." };
  if (isAllowedHost(hostOf(headers), known)) return methodRefusal(method, url);
  const message =
    "This server does not accept this host name. Use a name it accepts, or add this one to ALLOWED_HOSTS or PUBLIC_URL and restart it.";
  return { status: 421, code: "unknown_host", message };
}

/** Next answers an unsupported method with an empty 405. */
function methodRefusal(method: string, url: string): Refusal | null {
  const allowed = methodsOf(url.split("?", 1)[0] ?? "");
  if (!allowed || allowed.includes(method)) return null;
  const here = allowed.join(", ");
  return {
    status: 405,
    code: "method_not_allowed",
    message: `This address accepts ${here}, not ${method}.`,
    allow: here,
  };
}

function refuse(request: IncomingMessage, response: ServerResponse, refusal: Refusal): void {
  const { status, code, message, allow: allowed } = refusal;
  const requestId = uuidv4();
  const page = request.headers.accept?.includes("text/html");
  const body = page ? `${message}\n` : JSON.stringify({ error: { code, message, requestId } });
  response.writeHead(status, {
    "Content-Type": page ? "text/plain; charset=utf-8" : "application/json",
    "X-Request-Id": requestId,
    ...(allowed && { Allow: allowed }),
    // The body is unread, so the connection cannot be reused.
    Connection: "close",
  });
  response.end(request.method === "HEAD" ? undefined : body);
}
