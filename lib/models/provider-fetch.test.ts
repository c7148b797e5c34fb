import { execFile } from "node:child_process";
import { getEventListeners, once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, globalAgent, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { type AddressInfo, connect, createServer as createTcpServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { promisify } from "node:util";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, streamText, wrapLanguageModel } from "ai";
import { describe, expect, it, onTestFinished } from "vitest";
import type { HeldText } from "@/lib/next-commit";
import { selfSigned } from "@/test/certificate";
import { logged } from "@/test/logged";
import { underLoad } from "@/test/under-load";
import { classifyFailure } from "./failure";
import { providerFetch } from "./provider-fetch";
import { attachHold } from "./text-hold";
import { timeouts } from "./timeouts";

/** Resolves with the port; closed with its connections after the test. */
async function listen(server: Server, host = "127.0.0.1"): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
  });
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  server.listen(0, host);
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** An HTTP server that answers each request with `answer`. */
async function httpServer(answer: (request: IncomingMessage, response: ServerResponse, text: string) => void) {
  const server = createServer(async (request, response) => answer(request, response, await textOfRequest(request)));
  return `http://127.0.0.1:${await listen(server)}`;
}

/** Answers each request, which must fit in one packet, with arbitrary bytes. */
async function tcpServer(answer: (socket: Socket) => void) {
  const server = createTcpServer((socket) => socket.on("data", () => answer(socket)));
  return `http://127.0.0.1:${await listen(server)}`;
}

async function textOfRequest(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

function post(url: string, init: RequestInit = {}) {
  return providerFetch(url, { method: "POST", body: "{}", headers: { "Content-Type": "application/json" }, ...init });
}

function said(content: string, finish_reason: string | null = null): string {
  return `data: ${JSON.stringify({ id: "1", choices: [{ index: 0, delta: { content }, finish_reason }] })}\n\n`;
}

const streamHead = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const httpChunk = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;

/** A stream that sends one text and then goes silent; `closed` when its client has left. */
async function silentServer() {
  const closed = Promise.withResolvers<void>();
  const url = await httpServer((_, response) => {
    response.on("close", closed.resolve);
    response.writeHead(200, { "content-type": "text/event-stream" }).write(said("Hi"));
  });
  return { url, closed: closed.promise };
}

describe("a response", () => {
  it("has its status, headers and body, and sends the request unchanged", async () => {
    let seen: object = {};
    const url = await httpServer(({ method, url, headers }, response, text) => {
      seen = { method, url, headers, text };
      response.setHeader("set-cookie", ["a=1", "b=2"]);
      response.writeHead(429, "Slow down", { "content-type": "application/json", "retry-after": "7" });
      response.end(`{"error":{"message":"é"}}`);
    });
    const response = await post(`${url}/v1/x?y=1`, { body: `{"é":1}`, headers: { Authorization: "Bearer k" } });
    expect(seen).toMatchObject({
      method: "POST",
      url: "/v1/x?y=1",
      text: `{"é":1}`,
      headers: { authorization: "Bearer k", "content-length": "8", "accept-encoding": "identity" },
    });
    expect([response.status, response.statusText, response.ok]).toEqual([429, "Slow down", false]);
    expect(response.headers.get("retry-after")).toBe("7");
    expect(response.headers.getSetCookie()).toEqual(["a=1", "b=2"]);
    expect(await response.json()).toEqual({ error: { message: "é" } });
  });

  it("of an event stream arrives event by event", async () => {
    const url = await httpServer(async (_, response) => {
      response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
      response.write(said("Hi"));
      await gate.promise;
      response.end(said("", "stop"));
    });
    const gate = Promise.withResolvers<void>();
    const response = await post(url);
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    expect((await reader?.read())?.value).toBe(said("Hi"));
    gate.resolve();
    expect((await reader?.read())?.value).toBe(said("", "stop"));
    expect((await reader?.read())?.done).toBe(true);
  });

  it("may be large, as may a request", async () => {
    const large = "é".repeat(4_000_000);
    const url = await httpServer((_, response, text) => response.end(text));
    expect(await (await post(url, { body: large })).text()).toBe(large);
  });

  it.each([204, 205, 304])("%i has no body, and its connection is reused", async (status) => {
    const ports = new Set<number | undefined>();
    const url = await httpServer(({ socket }, response) => {
      ports.add(socket.remotePort);
      response.writeHead(status).end();
    });
    for (const _ of [1, 2]) {
      const response = await post(url);
      expect([response.status, response.body]).toEqual([status, null]);
      await expect.poll(() => idleSockets(url)).toBe(1);
    }
    expect(ports.size).toBe(1);
  });

  it("that redirects to the same host is followed with method and body", async () => {
    const asked: unknown[] = [];
    const url = await httpServer((request, response, text) => {
      asked.push([request.method, request.url, text]);
      if (request.url === "/v1") response.writeHead(308, { location: "/moved/v1" }).end();
      else response.end("here");
    });
    expect(await (await post(`${url}/v1`)).text()).toBe("here");
    expect(asked).toEqual([
      ["POST", "/v1", "{}"],
      ["POST", "/moved/v1", "{}"],
    ]);
  });

  it.each([
    ["to another host", "http://127.0.0.2:1/v1", 307],
    ["in a loop", "/v1", 308],
    ["with a status that turns POST into GET", "/elsewhere", 302],
  ])("that redirects %s is returned as it is", async (_, location, status) => {
    let asked = 0;
    const url = await httpServer((_request, response) => {
      asked += 1;
      response.writeHead(status, { location }).end("moved");
    });
    const lines = await logged(async () => {
      const response = await post(`${url}/v1`);
      expect([response.status, response.ok, await response.text()]).toEqual([status, false, "moved"]);
    });
    const { host } = new URL(location, url);
    expect(lines.map(({ to }) => to)).toEqual(location === "/v1" ? [] : [status === 302 ? `http://${host}` : host]);
    expect(asked).toBe(location === "/v1" ? 4 : 1);
  });

  it("works over TLS when Node trusts the certificate", async () => {
    const { certificate, key } = selfSigned("localhost");
    const server = createSecureServer({ cert: certificate, key }, (_, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).end(said("Hi"));
    });
    const url = `https://localhost:${await listen(server, "localhost")}`;
    await expect(post(url)).rejects.toMatchObject({
      message: "fetch failed",
      cause: { code: "DEPTH_ZERO_SELF_SIGNED_CERT" },
    });
    const trusted = getCACertificates("default");
    setDefaultCACertificates([...trusted, certificate]);
    onTestFinished(() => setDefaultCACertificates(trusted));
    expect(await (await post(url)).text()).toBe(said("Hi"));
  });
});

function idleSockets(url: string): number {
  const { hostname, port } = new URL(url);
  return globalAgent.freeSockets[globalAgent.getName({ host: hostname, port: Number(port) })]?.length ?? 0;
}

describe("a connection", () => {
  it("is reused once a body was read to its end", async () => {
    const ports = new Set<number | undefined>();
    const url = await httpServer(({ socket }, response) => {
      ports.add(socket.remotePort);
      response.writeHead(200, { "content-type": "text/event-stream" }).end(said("Hi") + said("", "stop"));
    });
    for (const _ of [1, 2, 3]) {
      expect(await (await post(url)).text()).toBe(said("Hi") + said("", "stop"));
      await expect.poll(() => idleSockets(url)).toBe(1);
    }
    expect(ports.size).toBe(1);
  });

  it("that the server closed while idle is not reused", async () => {
    const sockets: Socket[] = [];
    const url = await httpServer(({ socket }, response) => {
      sockets.push(socket);
      response.end("Hi");
    });
    await (await post(url)).text();
    await expect.poll(() => idleSockets(url)).toBe(1);
    sockets[0]?.end();
    await expect.poll(() => idleSockets(url)).toBe(0);
    expect(await (await post(url)).text()).toBe("Hi");
    expect(new Set(sockets).size).toBe(2);
  });

  it("that the server closes on reuse is a failed call", async () => {
    const url = await httpServer(({ socket, url }, response) => {
      if (url === "/again") socket.destroy();
      else response.end("Hi");
    });
    await (await post(url)).text();
    await expect.poll(() => idleSockets(url)).toBe(1);
    await expect(post(`${url}/again`)).rejects.toMatchObject({ cause: { code: "ECONNRESET" } });
  });

  it("that is reset when new is a failed call without a retry: the server may have started", async () => {
    let asked = 0;
    const url = await httpServer(({ socket }) => {
      asked += 1;
      socket.resetAndDestroy();
    });
    await expect(post(url)).rejects.toMatchObject({ cause: { code: "ECONNRESET" } });
    expect(asked).toBe(1);
  });

  it("closes when the body is cancelled", async () => {
    const { url, closed } = await silentServer();
    const response = await post(url);
    await response.body?.cancel();
    await closed;
  });

  it("closes when a body that is not an event stream is cancelled", async () => {
    const closed = Promise.withResolvers<void>();
    const url = await httpServer((_, response) => {
      response.on("close", closed.resolve);
      response.write("<html>");
    });
    const response = await post(url);
    await response.body?.cancel();
    await closed.promise;
  });

  it("with an unread body closes on abort", async () => {
    const { url, closed } = await silentServer();
    const calls = new AbortController();
    const response = await post(url, { signal: calls.signal });
    calls.abort(new Error("enough"));
    await closed;
    await expect(response.text()).rejects.toThrow("enough");
  });
});

describe("an abort", () => {
  it("before the call sends nothing", async () => {
    let asked = 0;
    const url = await httpServer((_, response) => {
      asked++;
      response.end();
    });
    const reason = new Error("enough");
    await expect(post(url, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await (await post(url)).text();
    expect(asked).toBe(1);
  });

  it("while connecting rejects with its reason", async () => {
    const url = await httpServer((_, response) => response.end());
    const calls = new AbortController();
    const call = post(url, { signal: calls.signal });
    const reason = new Error("enough");
    calls.abort(reason);
    await expect(call).rejects.toBe(reason);
  });

  it.each([[new Error("enough")], ["a word"], [null]])("before the response: %s", async (reason) => {
    const asked = Promise.withResolvers<void>();
    const closed = Promise.withResolvers<void>();
    const url = await httpServer((_, response) => {
      response.on("close", closed.resolve);
      asked.resolve();
    });
    const calls = new AbortController();
    const call = post(url, { signal: calls.signal });
    await asked.promise;
    calls.abort(reason);
    await expect(call).rejects.toBe(reason);
    await closed.promise;
  });

  it.each(["text/event-stream", "text/plain"])("during %s fails the read with its reason", async (type) => {
    const closed = Promise.withResolvers<void>();
    const url = await httpServer((_, response) => {
      response.on("close", closed.resolve);
      response.writeHead(200, { "content-type": type }).write(said("Hi"));
    });
    const calls = new AbortController();
    const reader = (await post(url, { signal: calls.signal })).body?.getReader();
    await reader?.read();
    const next = reader?.read();
    const reason = new Error("enough");
    calls.abort(reason);
    await expect(next).rejects.toBe(reason);
    await closed.promise;
    expect(getEventListeners(calls.signal, "abort")).toEqual([]);
  });

  it("without a reason also ends the read", async () => {
    const { url, closed } = await silentServer();
    const calls = new AbortController();
    const reader = (await post(url, { signal: calls.signal })).body?.getReader();
    await reader?.read();
    const next = reader?.read();
    calls.abort(null);
    await expect(next).rejects.toThrow();
    await closed;
  });

  it("is listened for only until the call ends", async () => {
    const url = await httpServer((request, response) => {
      if (request.url === "/cut") response.socket?.destroy();
      else {
        response.writeHead(200, { "content-type": "text/event-stream" }).write(said("Hi"));
        void read.promise.then(() => response.end());
      }
    });
    const read = Promise.withResolvers<void>();
    const { signal } = new AbortController();
    const response = await post(url, { signal });
    expect(getEventListeners(signal, "abort")).toHaveLength(1);
    read.resolve();
    await response.text();
    await expect.poll(() => getEventListeners(signal, "abort")).toEqual([]);
    await expect(post(`${url}/cut`, { signal })).rejects.toThrow("fetch failed");
    await expect(post("http://127.0.0.1:1", { signal })).rejects.toThrow("fetch failed");
    await expect.poll(() => getEventListeners(signal, "abort")).toEqual([]);
  });
});

/** The SDK's view: the text before, the first error, and its sentence for people. */
async function ask(url: string, maxRetries = 0) {
  const model = wrapLanguageModel({
    model: createOpenAI({ baseURL: url, apiKey: "unused", fetch: providerFetch }).chat("scripted"),
    middleware: timeouts({ firstChunkMs: 10_000, chunkMs: 10_000 }),
  });
  let text = "";
  let error: unknown;
  for await (const part of streamText({ model, prompt: "Hello", maxRetries, onError: () => {} }).stream) {
    if (part.type === "text-delta") text += part.text;
    if (part.type === "error") error ??= part.error;
  }
  return { text, error, code: error && classifyFailure(error).code };
}

describe("a provider that", () => {
  it.each<[string, (socket: Socket) => void, string]>([
    ["resets the connection", (socket) => socket.resetAndDestroy(), "ECONNRESET"],
    ["closes it", (socket) => socket.end(), "ECONNRESET"],
    ["does not speak HTTP", (socket) => socket.end("SSH-2.0-OpenSSH\r\n"), "HPE_INVALID_CONSTANT"],
    ["ends inside its headers", (socket) => socket.end("HTTP/1.1 200 OK\r\nconten"), "ECONNRESET"],
    [
      "has endless headers",
      (socket) => socket.write(`HTTP/1.1 200 OK\r\nx: ${"x".repeat(99_999)}`),
      "HPE_HEADER_OVERFLOW",
    ],
  ])("%s before it answers counts as unreachable", async (_, answer, code) => {
    const url = await tcpServer(answer);
    const call = post(url);
    await expect(call).rejects.toThrow(TypeError);
    await expect(call).rejects.toMatchObject({ message: "fetch failed", cause: { code } });
    const { text, code: kind, error } = await ask(url);
    expect([text, kind, (error as APICallError).isRetryable]).toEqual(["", "provider_unavailable", true]);
  });

  it.each<[string, string]>([
    ["an unknown status", "HTTP/1.1 777 Odd\r\ncontent-length: 0\r\n\r\n"],
    ["a change of protocol", "HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"],
  ])("answers with %s counts as unreachable", async (_, answer) => {
    const url = await tcpServer((socket) => socket.write(answer));
    await expect(post(url)).rejects.toMatchObject({ message: "fetch failed", cause: expect.any(Error) });
    expect((await ask(url)).code).toBe("provider_unavailable");
  });

  it("does not listen, or has no address, counts as unreachable", async () => {
    await expect(post("http://127.0.0.1:1")).rejects.toMatchObject({ cause: { code: "ECONNREFUSED" } });
    await expect(post("http://nowhere.invalid")).rejects.toMatchObject({
      cause: { code: expect.stringMatching(/^(?:ENOTFOUND|EAI_AGAIN)$/) },
    });
    for (const url of ["http://127.0.0.1:1", "http://nowhere.invalid", "https://127.0.0.1:1"]) {
      const { error, code } = await ask(url);
      expect([code, (error as APICallError).isRetryable]).toEqual(["provider_unavailable", true]);
    }
  });

  it("does not support TLS counts as unreachable", async () => {
    const url = await httpServer((_, response) => response.end());
    expect((await ask(url.replace("http:", "https:"))).code).toBe("provider_unavailable");
  });

  it.each<[string, (socket: Socket) => void]>([
    [
      "resets the connection",
      (socket) => socket.write(streamHead + httpChunk(said("Hi")), () => socket.resetAndDestroy()),
    ],
    ["ends it", (socket) => socket.end(streamHead + httpChunk(said("Hi")))],
    ["ends it within a chunk", (socket) => socket.end(`${streamHead + httpChunk(said("Hi"))}99\r\ndata: {`)],
    ["breaks the chunks", (socket) => socket.write(`${streamHead + httpChunk(said("Hi"))}zz\r\n`)],
    [
      "announced a longer body",
      (socket) =>
        socket.end(`HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9999\r\n\r\n${said("Hi")}`),
    ],
  ])("%s mid-answer fails the call, and the text so far is kept", async (_, answer) => {
    const { text, code, error } = await ask(await tcpServer(answer));
    expect([text, code]).toEqual(["Hi", "provider_unavailable"]);
    expect(error).toBeInstanceOf(Error);
  });

  it("redirects, or has an empty body, is an invalid answer", async () => {
    const redirecting = await httpServer((_, response) => response.writeHead(307, { location: "/x" }).end());
    const { error, code } = await ask(redirecting);
    expect([APICallError.isInstance(error) && error.statusCode, code]).toEqual([307, "provider_invalid"]);
    const empty = await httpServer((_, response) => response.writeHead(204).end());
    expect((await ask(empty)).code).toBe("provider_invalid");
  });

  it("fails once is retried by the SDK", async () => {
    let asked = 0;
    const url = await tcpServer((socket) => {
      if (++asked === 1) socket.resetAndDestroy();
      else socket.end(`${streamHead}${httpChunk(`${said("Hi", "stop")}data: [DONE]\n\n`)}0\r\n\r\n`);
    });
    expect(await ask(url, 1)).toMatchObject({ text: "Hi", error: undefined });
    expect(asked).toBe(2);
  });
});

it("accepts only text bodies", async () => {
  await expect(post("http://127.0.0.1:1", { body: new FormData() })).rejects.toThrow("Only text");
  await expect(providerFetch(new Request("http://127.0.0.1:1"), { body: "{}" })).rejects.toThrow("Invalid URL");
});

it("leaves text that waits for a commit in the system, until its server can write no more", async () => {
  const held: HeldText[] = [];
  const { signal } = new AbortController();
  let committed = false;
  attachHold(signal, (waiting) => !committed && held.push(waiting) > 0);
  // More than the system's buffers hold on both sides, 4 and 6 MiB at most by default.
  const pieces = 2_048;
  const piece = "x".repeat(16_384);
  let server: Socket | undefined;
  const url = await tcpServer((socket) => {
    server = socket;
    socket.write(streamHead + httpChunk(said("Hi")));
  });
  const response = await post(`${url}/v1/chat/completions`, { body: '{"stream":true}', signal });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  expect((await reader?.read())?.value).toContain('"content":"Hi"');
  const next = reader?.read();
  for (let written = 0; written < pieces; written++) server?.write(httpChunk(said(piece)));
  server?.end("0\r\n\r\n");
  await expect.poll(() => held.length).toBe(1);

  const queued = await settled(() => server?.writableLength ?? 0);
  expect(queued).toBeGreaterThan(16 * 1_048_576);

  committed = true;
  held[0]?.prepare();
  held[0]?.release();
  let text = (await next)?.value ?? "";
  for (let read = await reader?.read(); !read?.done; read = await reader?.read()) text += read?.value;
  const contents = text.matchAll(/"content":"(x+)"/g);
  expect([...contents].reduce((sum, [, content = ""]) => sum + content.length, 0)).toBe(pieces * piece.length);
  expect(server?.writableLength).toBe(0);
});

/** The value once a hundred event-loop turns have not changed it. */
async function settled(measure: () => number): Promise<number> {
  let last = measure();
  for (let turns = 0; turns < 100; turns++) {
    await new Promise((resolve) => setImmediate(resolve));
    if (measure() !== last) turns = 0;
    last = measure();
  }
  return last;
}

it("uses a proxy when Node is configured for one", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "provider-fetch-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const { certificate, key } = selfSigned("provider.invalid");
  await writeFile(path.join(folder, "ca.pem"), certificate);
  const answer = (_: IncomingMessage, response: ServerResponse) =>
    response.writeHead(200, { "content-type": "text/event-stream" }).end(said("Hi"));
  const plain = await listen(createServer(answer));
  const secure = await listen(createSecureServer({ cert: certificate, key }, answer));

  const seen: string[] = [];
  const proxy = createServer(async (request, response) => {
    seen.push(`${request.method} ${request.url} ${await textOfRequest(request)}`);
    // Resets a kept-alive connection, once.
    if (request.url?.endsWith("/again") && seen.length === 2) request.socket.resetAndDestroy();
    else answer(request, response);
  });
  proxy.on("connect", (request, socket) => {
    seen.push(`CONNECT ${request.url}`);
    const tunnel = connect(secure, "127.0.0.1", () => socket.write("HTTP/1.1 200 Connected\r\n\r\n"));
    tunnel.on("error", () => {});
    tunnel.pipe(socket).pipe(tunnel);
  });
  const proxyUrl = `http://127.0.0.1:${await listen(proxy)}`;

  const code = `
    import { providerFetch } from "@/lib/models/provider-fetch";
    const again = "http://provider.invalid/again";
    const urls = ["http://provider.invalid/v1", again, "https://provider.invalid/v1", "http://127.0.0.1:${plain}/v1"];
    for (const url of urls) {
      console.log(await (await providerFetch(url, { method: "POST", body: "{}" })).text());
      // The connection goes back to those that are kept.
      await new Promise((resolve) => setTimeout(resolve, 20));
    }`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--import", path.resolve("scripts/imports.mjs"), "--input-type=module-typescript", "-e", code],
    {
      env: {
        ...process.env,
        NODE_USE_ENV_PROXY: "1",
        HTTP_PROXY: proxyUrl,
        HTTPS_PROXY: proxyUrl,
        NO_PROXY: "127.0.0.1",
        NODE_EXTRA_CA_CERTS: path.join(folder, "ca.pem"),
      },
    },
  );
  expect(stdout.match(/"Hi"/g)).toHaveLength(4);
  expect(seen).toEqual([
    "POST http://provider.invalid/v1 {}",
    "POST http://provider.invalid/again {}",
    "POST http://provider.invalid/again {}",
    "CONNECT provider.invalid:443",
  ]);
});

describe("a streamed answer", () => {
  const wire = said("Hello ") + said("world.") + said("", "stop");
  const whole = JSON.stringify({ choices: [{ message: { content: "Hello world." }, finish_reason: "stop" }] });
  const events = { "content-type": "text/event-stream" };

  it.each<[string, Record<string, string>, string | Buffer]>([
    ["in gzip", { ...events, "content-encoding": "gzip" }, gzipSync(wire)],
    ["in brotli", { ...events, "content-encoding": "br" }, brotliCompressSync(wire)],
    ["in undeclared gzip", events, gzipSync(wire)],
    ["as plain text", { "content-type": "text/plain" }, wire],
    ["as one JSON body", { "content-type": "application/json" }, whole],
    ["as one JSON body declared as a stream", events, whole],
  ])("%s, is read", async (_, headers, body) => {
    const url = await httpServer((_request, response) => response.writeHead(200, headers).end(body));
    expect(await ask(url)).toMatchObject({ text: "Hello world.", error: undefined });
  });

  it.each<[string, string, string]>([
    ["a page", "<!doctype html><title>Gateway</title>", "provider_invalid"],
    ["a word", "OK", "provider_invalid"],
    ["an error as JSON", '{"error":{"code":402,"message":"x"}}', "provider_rate_limited"],
    ["unrelated JSON", '{"data":[]}', "provider_invalid"],
  ])("%s, fails", async (_, body, code) => {
    const url = await httpServer((_request, response) => response.writeHead(200, events).end(body));
    expect(await ask(url)).toMatchObject({ text: "", code });
  });

  it("on a reused connection that is reset, is requested again at once", async () => {
    const sockets = new Set<Socket>();
    let resets = 0;
    const server = createServer((request, response) => {
      if (sockets.has(request.socket) && resets++ === 0) return request.socket.resetAndDestroy();
      sockets.add(request.socket);
      response.writeHead(200, { ...events, "content-length": Buffer.byteLength(wire) }).end(wire);
    });
    const url = `http://127.0.0.1:${await listen(server)}`;
    expect((await ask(url)).text).toBe("Hello world.");
    const startMs = performance.now();
    expect((await ask(url)).text).toBe("Hello world.");
    expect(resets).toBe(1);
    // The normal retry delay is two seconds.
    expect(performance.now() - startMs).toBeLessThan(underLoad(1_900));
  });
});
