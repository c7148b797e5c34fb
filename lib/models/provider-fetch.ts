// HTTP for the providers' SDKs: a `fetch` on node:http whose body is read only on demand. With
// `fetch` itself each token would cost a read, a callback and a web stream chunk, needed or not.
// Proxies (NODE_USE_ENV_PROXY) and certificates (NODE_EXTRA_CA_CERTS) are Node's own. A prompt only
// goes where the operator said: redirects must stay on the host.
import { Agent as HttpAgent, type IncomingMessage, type RequestOptions, request as requestHttp } from "node:http";
import { Agent as HttpsAgent, request as requestHttps } from "node:https";
import { Readable } from "node:stream";
import { APICallError, InvalidResponseDataError } from "ai";
import { logger } from "@/lib/logger";
import { type EventReader, unreadable } from "./answer-events";
import { answerStream } from "./answer-stream";
import { ChatReader } from "./chat-reader";
import { framesOf, Normaliser } from "./normaliser";
import { OtherReader, OwnChatReader } from "./other-readers";
import { ResponsesReader } from "./responses-reader";
import { activityOf } from "./silence";
import { sniff } from "./sniff";
import { holdOf } from "./text-hold";

/**
 * No read-ahead: unrequested data stays in the system's buffers. A socket option, passed through
 * the request.
 */
const unbuffered: RequestOptions & { highWaterMark: number } = { highWaterMark: 0 };

/** Statuses without a body; `Response` accepts none for them. */
const bodiless = [204, 205, 304];
/** Redirects that keep method and body, and those that turn POST into GET. */
const redirects = [307, 308];
const lossyRedirects = [301, 302, 303];
const maxRedirects = 3;
/** For an answer in one body: larger than any model writes. */
const maxJsonBytes = 32 * 1_048_576;

/** Event reader by path. */
type Readers = [path: RegExp, open: (url: string) => EventReader][];

/**
 * For the adapters of OpenAI's APIs: imitators' answers are normalised. Supports only what the SDKs
 * use: a string sent to a URL. Rejects and fails like `fetch`, so that callers know what to retry.
 * An abort or cancelling the body closes the socket; until then, or its end, the body keeps it.
 */
export const providerFetch = fetchWith([
  [/\/chat\/completions$/, (url) => new ChatReader(url)],
  // Has `text` instead of deltas.
  [/\/completions$/, (url) => new ChatReader(url)],
  [/\/responses(?:\/[^/]+)?$/, (url) => new ResponsesReader(url)],
]);

/** The same for a provider's own package: the response passes unchanged. */
export const plainFetch = fetchWith([[/\/chat\/completions$/, (url) => new OwnChatReader(url)]]);

function fetchWith(readers: Readers): typeof fetch {
  return (input, init = {}) => exchange(readers, String(input), init);
}

async function exchange(readers: Readers, address: string, init: RequestInit): Promise<Response> {
  const { body = "" } = init;
  if (typeof body !== "string") throw new TypeError("Only text can be sent to a provider.");
  const url = new URL(address);
  const message = await follow(url, init, body);
  const streams = body.includes('"stream":true') || url.searchParams.get("stream") === "true";
  const open = streams ? readers.find(([path]) => path.test(url.pathname))?.[1] : undefined;
  try {
    return await responseOf(message, { reader: open?.(String(url)), signal: init.signal });
  } catch (error) {
    message.destroy();
    if (init.signal?.aborted) throw init.signal.reason;
    // A failure reported by the provider is not a connection failure.
    throw APICallError.isInstance(error) || InvalidResponseDataError.isInstance(error)
      ? error
      : new TypeError("fetch failed", { cause: error });
  }
}

/** Follows redirects on the same host. */
async function follow(url: URL, init: RequestInit, body: string): Promise<IncomingMessage> {
  let target = url;
  for (let count = 0; ; count++) {
    const message = await send(target, init, body);
    const { location } = message.headers;
    const status = message.statusCode ?? 0;
    if (!location || count === maxRedirects) return message;
    const next = URL.canParse(location, target) ? new URL(location, target) : null;
    if (lossyRedirects.includes(status))
      logger.warn(
        { status, from: target.origin, to: next?.origin },
        "the provider's address has moved: POST is not redirected",
      );
    if (!redirects.includes(status)) return message;
    if (next?.host !== target.host || (next.protocol !== target.protocol && next.protocol !== "https:")) {
      logger.warn(
        { from: target.host, to: next?.host },
        "the provider redirects to another host, which is not followed",
      );
      return message;
    }
    message.resume();
    target = next;
  }
}

/**
 * A kept-alive connection that the server has closed says nothing about its health: retry
 * immediately on a new one.
 */
async function send(url: URL, init: RequestInit, body: string): Promise<IncomingMessage> {
  try {
    return await sendOnce(url, init, body);
  } catch (error) {
    if (!(error instanceof StaleConnection)) throw error;
    return sendOnce(url, init, body, { agent: freshAgents[url.protocol === "https:" ? "https" : "http"] });
  }
}

/** Without keep-alive, and with the proxies of Node's own agents. */
const proxyEnv = process.env.NODE_USE_ENV_PROXY === "1" ? process.env : undefined;
const freshAgents = { http: new HttpAgent({ proxyEnv }), https: new HttpsAgent({ proxyEnv }) };

class StaleConnection extends TypeError {}

function sendOnce(
  url: URL,
  { method, signal, headers: given }: RequestInit,
  body: string,
  options: RequestOptions = {},
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const activity = activityOf(signal);
    const headers = { ...plainHeaders(given), "accept-encoding": "identity" };
    const open = url.protocol === "https:" ? requestHttps : requestHttp;
    const request = open(url, { ...unbuffered, ...options, method, headers });
    let answer: IncomingMessage | undefined;
    const abort = () => (answer ?? request).destroy(signal?.reason);
    const fail = (cause: unknown) => {
      if (signal?.aborted) reject(signal.reason);
      else reject(new (request.reusedSocket ? StaleConnection : TypeError)("fetch failed", { cause }));
    };
    signal?.addEventListener("abort", abort, { once: true });
    request.on("socket", (socket) => {
      if (!socket.connecting) return;
      activity.connecting();
      socket.once(url.protocol === "https:" ? "secureConnect" : "connect", activity.connected);
    });
    // Fires only after the response was read to its end, or its socket is gone.
    request.on("close", () => {
      signal?.removeEventListener("abort", abort);
      // An unrequested protocol upgrade is neither a response nor an error.
      if (!answer) fail(new Error("The connection was closed without a response."));
    });
    request.on("error", (error) => {
      answer?.destroy(error);
      fail(error);
    });
    request.on("response", (message) => {
      answer = message;
      if (message.statusCode === 200) activity.responding();
      resolve(message);
    });
    request.end(body);
  });
}

/** The SDKs pass an object; `Headers` would validate and sort it again. */
function plainHeaders(given: RequestInit["headers"]): Record<string, string> {
  const plain = given && !(given instanceof Headers) && !Array.isArray(given);
  const entries = plain ? Object.entries(given) : [...new Headers(given)];
  return Object.fromEntries(entries.map(([name, value]) => [name.toLowerCase(), value]));
}

type Origin = { reader: EventReader | undefined; signal: AbortSignal | null | undefined };

async function responseOf(message: IncomingMessage, { reader, signal }: Origin): Promise<Response> {
  const { statusCode: status = 0, statusMessage: statusText } = message;
  const init = { status, statusText, headers: headersOf(message) };
  if (bodiless.includes(status)) {
    message.resume();
    return new Response(null, init);
  }
  const activity = activityOf(signal);
  const hold = holdOf(signal);
  const { kind, first, body } = await sniff(message, () => activity.bytes());
  init.headers = headersOf(message, "content-encoding");
  if (!reader || status >= 300) {
    const events = message.headers["content-type"]?.startsWith("text/event-stream");
    if (!events)
      return new Response(
        remainingBody(first, body, () => activity.bytes()),
        init,
      );
    const normaliser = new Normaliser(new OtherReader());
    const items = normaliser.read(first);
    return new Response(
      answerStream(body, { initialItems: items, normaliser, onBytes: () => activity.bytes(), hold }),
      init,
    );
  }
  const normaliser = new Normaliser(reader);
  init.headers = headersOf(message, "content-encoding", "content-type");
  init.headers.push(["content-type", "text/event-stream"]);
  if (kind === "events") {
    const items = normaliser.read(first);
    // Throw a refusal even with status 200: it can be repaired or retried.
    if (items.length === 0 && isRefusal(normaliser.failure)) throw normaliser.failure;
    const onBytes = () => activity.bytes(normaliser.thinking);
    return new Response(answerStream(body, { initialItems: items, normaliser, onBytes, hold }), init);
  }
  const json = kind === "json" ? await jsonOf(first, body, () => activity.bytes()) : null;
  const items = json === cutOff ? normaliser.finish(false) : json && normaliser.readJson(json.value);
  if (normaliser.failure) throw normaliser.failure;
  if (items) return new Response(framesOf(items), init);
  logger.warn({ status, kind }, "the provider sent something that is not an answer");
  throw unreadable();
}

/** As pairs: `Response` builds its own `Headers` anyway. */
function headersOf({ rawHeaders }: IncomingMessage, ...without: string[]): [string, string][] {
  const headers: [string, string][] = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const [name = "", value = ""] = rawHeaders.slice(at, at + 2);
    if (!without.includes(name.toLowerCase())) headers.push([name, value]);
  }
  return headers;
}

/** Statuses that refuse the request, or mean that the model is loading. */
const refusals = [400, 404, 422, 501, 503];

function isRefusal(failure: Error | null): boolean {
  return APICallError.isInstance(failure) && refusals.includes(failure.statusCode ?? 0);
}

function remainingBody(first: Buffer, body: Readable, onBytes: () => void): ReadableStream<Uint8Array> {
  const after = Readable.toWeb(body) as ReadableStream<Uint8Array>;
  return after.pipeThrough(
    new TransformStream({
      start: (controller) => controller.enqueue(first),
      transform(piece, controller) {
        onBytes();
        controller.enqueue(piece);
      },
    }),
  );
}

const cutOff = Symbol("JSON that ends before its end");

/** Null if not JSON. */
async function jsonOf(
  first: Buffer,
  body: Readable,
  onBytes: () => void,
): Promise<{ value: unknown } | typeof cutOff | null> {
  const pieces = [first];
  let length = first.length;
  for await (const piece of body) {
    onBytes();
    length += piece.length;
    if (length > maxJsonBytes) return null;
    pieces.push(piece);
  }
  const text = new TextDecoder().decode(Buffer.concat(pieces)).trimEnd();
  try {
    return { value: JSON.parse(text) };
  } catch {
    // Not JSON after all; the caller reports it.
    return text.endsWith("}") || text.endsWith("]") ? null : cutOff;
  }
}
