// A scripted model provider over real HTTP: OpenAI's Chat Completions and Responses, behaving as a
// test requires. A script is a list of steps, plain JSON. Gates replace sleeps: the script waits
// until the test opens one, and the test can wait until the script reaches it. `node
// test/provider.ts --help` runs it standalone, for benchmarks.
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { parseArgs } from "node:util";
import { KeptAnswer } from "./provider-background.ts";
import { type Finish, type ShapeName, type Usage, type Writer, writerFor } from "./provider-shapes.ts";

export type Step =
  /** One delta. With `piece`, written that many bytes at a time, which also splits UTF-8. */
  | { text: string; piece?: number }
  /** One delta per word, as fast as the reader takes them or at `perSecond`. */
  | { tokens: string; perSecond?: number }
  | { reasoning: string }
  | { tool: string; arguments: string[] }
  /** Waits until the gate is opened; an opened gate stays open. */
  | { gate: string }
  | { finish: Finish; usage?: Usage }
  /** An error event in the stream. */
  | { error: string; code?: string }
  /** Instead of a stream: this status, and this body as text or JSON. */
  | { answer: number; body: string | object; headers?: Record<string, string> }
  /** Status 200 and headers without a body byte. Steps that write send them implicitly. */
  | { headers: true }
  /** Raw bytes in a 200 event stream. */
  | { raw: string; encoding?: "utf8" | "hex" }
  /** Waits for the client to leave. Without an earlier write, sends no headers either. */
  | { hang: true }
  /** Destroys the socket. Without `finish` a script ends the response cleanly, but early. */
  | { cut: true };

export type Script = Step[];
export type Scripted = Script | ((request: ProviderRequest) => Script);

export type ProviderRequest = {
  /** 1, 2, 3 … in order of arrival. */
  number: number;
  shape: ShapeName;
  stream: boolean;
  model: string;
  /** The text of the last user message. */
  prompt: string;
  /** The same; for a request to continue an answer, the question before that. */
  question: string;
  headers: IncomingHttpHeaders;
  body: Record<string, unknown>;
  /** The text deltas written so far. */
  sent: string;
  /** Which side ended the exchange; undefined while it runs. */
  closedBy: "client" | "server" | undefined;
  /** Resolves when the response has ended or its socket has closed. */
  closed: Promise<"client" | "server">;
};

export type Provider = {
  /** The base URL, ending in /v1. */
  url: string;
  port: number;
  requests: ProviderRequest[];
  /** The queries of readers that resume an answer, and the ids of cancelled answers. */
  resumed: string[];
  cancelled: string[];
  /**
   * Requests whose prompt, or else question, contains `key` get these scripts in turn; the last one
   * repeats. A function builds the script from the request.
   */
  on(key: string, ...scripts: Scripted[]): void;
  open(gate: string): void;
  /** Resolves when a script waits, or has waited, at the gate. */
  reached(gate: string): Promise<void>;
  /** The n-th (from 1) request whose prompt or question contains `key`, once it has arrived. */
  request(key: string, n?: number): Promise<ProviderRequest>;
  /** Cuts open connections and stops listening. */
  close(): Promise<void>;
};

/** One vector per text, with its length. */
function vectorsOf({ model, input }: { model: string; input: string[] }) {
  const data = input.map((each, index) => ({ object: "embedding", index, embedding: [each.length, 0.5] }));
  return { object: "list", model, data, usage: { prompt_tokens: 3, total_tokens: 3 } };
}

/** A text completion that echoes its request. */
function sendCompletion(response: ServerResponse, { model: _, stream_options: __, ...asked }: Record<string, unknown>) {
  const frames = [
    { choices: [{ index: 0, text: JSON.stringify(asked), finish_reason: null }] },
    { choices: [{ index: 0, text: "", finish_reason: "length" }] },
    { choices: [], usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 } },
  ];
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.end(`${frames.map((each) => `data: ${JSON.stringify(each)}\n\n`).join("")}data: [DONE]\n\n`);
}

/** A complete answer. */
export function says(text: string, usage?: Usage): Script {
  return [{ tokens: text }, { finish: "stop", usage }];
}

/** Words with their leading white space: the deltas of a `tokens` step. */
export function tokensOf(text: string): string[] {
  return text.match(/\s*\S+|\s+$/g) ?? [];
}

export async function startProvider(
  script: Scripted = says("Hello there."),
  { port = 0 }: { port?: number } = {},
): Promise<Provider> {
  const requests: ProviderRequest[] = [];
  const scripts = new Map<string, { queue: Scripted[]; used: number }>();
  /** Background answers by id. */
  const kept = new Map<string, KeptAnswer>();
  const gates = new Map<string, { reached: PromiseWithResolvers<void>; opened: PromiseWithResolvers<void> }>();
  const arrivals = new Set<() => void>();

  function gate(name: string) {
    const known = gates.get(name) ?? { reached: Promise.withResolvers<void>(), opened: Promise.withResolvers<void>() };
    gates.set(name, known);
    return known;
  }

  function scriptFor(request: ProviderRequest): Script {
    for (const text of [request.prompt, request.question]) {
      for (const [key, entry] of scripts) {
        if (!text.includes(key)) continue;
        const next = entry.queue[Math.min(entry.used, entry.queue.length - 1)];
        entry.used += 1;
        return typeof next === "function" ? next(request) : (next ?? []);
      }
    }
    return typeof script === "function" ? script(request) : script;
  }

  const provider: Omit<Provider, "url" | "port" | "close"> = {
    requests,
    resumed: [],
    cancelled: [],
    on: (key, ...queue) => void scripts.set(key, { queue, used: 0 }),
    open: (name) => gate(name).opened.resolve(),
    reached: (name) => gate(name).reached.promise,
    request: (key, n = 1) =>
      new Promise((resolve) => {
        const look = () => {
          const found = requests.filter((request) => isAbout(request, key))[n - 1];
          if (!found) return;
          arrivals.delete(look);
          resolve(found);
        };
        arrivals.add(look);
        look();
      }),
  };

  async function handle(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(incoming.url ?? "/", "http://provider");
    const text = await readBody(incoming);
    if (url.pathname.startsWith("/control/")) return control(provider, url, text, response);
    if (url.pathname === "/v1/models") {
      return sendJson(response, 200, { object: "list", data: [{ id: "scripted", object: "model", owned_by: "test" }] });
    }
    if (url.pathname === "/v1/completions" && text.includes("fim")) return sendCompletion(response, JSON.parse(text));
    if (url.pathname === "/v1/embeddings") return sendJson(response, 200, vectorsOf(JSON.parse(text)));
    // Ollama's own API, which is asked for its models' capabilities.
    if (url.pathname === "/api/tags" || url.pathname === "/api/ps") return sendJson(response, 200, { models: [] });
    const [, responseId = "", verb] = /^\/v1\/responses\/(\w+)(\/cancel)?$/.exec(url.pathname) ?? [];
    const answer = kept.get(responseId);
    if (answer && incoming.method === "GET") {
      provider.resumed.push(url.search);
      return answer.follow(Number(url.searchParams.get("starting_after") ?? -1), response);
    }
    if (answer && verb) {
      answer.destroy();
      provider.cancelled.push(responseId);
      return sendJson(response, 200, { id: responseId, status: "cancelled" });
    }
    const shape = { "/v1/chat/completions": "chat", "/v1/responses": "responses" }[url.pathname] as
      | ShapeName
      | undefined;
    if (!shape || incoming.method !== "POST") return sendJson(response, 404, { error: { message: "No such path." } });

    const body = JSON.parse(text) as Record<string, unknown>;
    const closed = Promise.withResolvers<"client" | "server">();
    const request: ProviderRequest = {
      number: requests.length + 1,
      shape,
      stream: body.stream === true,
      model: String(body.model),
      ...asked(body.messages ?? body.input),
      headers: incoming.headers,
      body,
      sent: "",
      closedBy: undefined,
      closed: closed.promise,
    };
    const end = (by: "client" | "server") => {
      request.closedBy ??= by;
      closed.resolve(request.closedBy);
    };
    requests.push(request);
    for (const look of [...arrivals]) look();
    const waitAt = async (name: string) => {
      gate(name).reached.resolve();
      await Promise.race([gate(name).opened.promise, request.closed]);
    };
    const lines = scriptFor(request);
    if (body.background === true && !lines.some((step) => "answer" in step)) {
      const answer = new KeptAnswer(() => end("server"));
      kept.set(`resp_${request.number}`, answer);
      void play(lines, request, answer as unknown as ServerResponse, waitAt);
      return answer.follow(-1, response);
    }
    response.on("close", () => end(response.writableFinished ? "server" : "client"));
    await play(lines, request, response, waitAt);
  }

  const server = createServer((incoming, response) => {
    handle(incoming, response).catch((error: unknown) => {
      console.error("scripted provider:", error);
      response.destroy();
    });
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  const address = server.address() as AddressInfo;
  return {
    ...provider,
    url: `http://127.0.0.1:${address.port}/v1`,
    port: address.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function play(
  script: Script,
  request: ProviderRequest,
  response: ServerResponse,
  waitAt: (gate: string) => Promise<void>,
): Promise<void> {
  const options = request.body.stream_options as { include_usage?: boolean } | undefined;
  const writer = writerFor(request.shape, request.number, request.model, options?.include_usage === true);
  let started = false;
  let deltas = 0;

  function begin(): void {
    if (started || !request.stream) return;
    started = true;
    response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" });
    response.flushHeaders();
  }

  async function write(bytes: string | Buffer): Promise<void> {
    if (!request.stream || response.destroyed) return;
    begin();
    if (!response.write(bytes)) await Promise.race([drained(response), request.closed]);
  }

  let opened = false;
  async function emit(frame: (writer: Writer) => string, piece?: number): Promise<void> {
    if (!opened) {
      opened = true;
      await write(writer.open());
    }
    deltas += 1;
    const bytes = Buffer.from(frame(writer));
    for (let at = 0; at < bytes.length; at += piece ?? bytes.length) {
      await write(bytes.subarray(at, at + (piece ?? bytes.length)));
      if (piece) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async function say(text: string, piece?: number): Promise<void> {
    await emit((to) => to.text(text), piece);
    request.sent += text;
  }

  for (const step of script) {
    if (response.destroyed) return;
    // First, because `answer` may have `headers` too.
    if ("answer" in step) {
      const type = typeof step.body === "string" ? "text/html; charset=utf-8" : "application/json";
      response.writeHead(step.answer, { "content-type": type, ...step.headers });
      response.end(typeof step.body === "string" ? step.body : JSON.stringify(step.body));
      return;
    }
    if ("text" in step) await say(step.text, step.piece);
    else if ("tokens" in step) {
      const startedAt = performance.now();
      for (const [index, token] of tokensOf(step.tokens).entries()) {
        if (response.destroyed) return;
        // Against a fixed schedule, so that late timers do not add up.
        if (step.perSecond) await pause(startedAt + (index * 1000) / step.perSecond - performance.now());
        await say(token);
      }
    } else if ("reasoning" in step) await emit((to) => to.reasoning(step.reasoning));
    else if ("tool" in step) {
      for (const frame of writer.tool(step.tool, step.arguments)) await emit(() => frame);
    } else if ("gate" in step) await waitAt(step.gate);
    else if ("headers" in step) begin();
    else if ("raw" in step) await write(Buffer.from(step.raw, step.encoding ?? "utf8"));
    else if ("error" in step) await emit((to) => to.error(step.error, step.code ?? "server_error"));
    else if ("hang" in step) await request.closed;
    else if ("cut" in step) {
      request.closedBy = "server";
      // Flushes: the callback runs once earlier writes have left the process.
      await new Promise((resolve) => response.socket?.write("", resolve));
      response.destroy();
    } else {
      const usage = step.usage ?? { input: request.prompt.split(/\s+/).length, output: deltas };
      if (!request.stream) return sendJson(response, 200, writer.whole(step.finish, usage));
      await emit((to) => to.finish(step.finish, usage));
    }
  }
  if (!response.destroyed) response.end();
}

/** Control endpoint for tests in another process; same verbs as the object's. */
async function control(
  provider: Pick<Provider, "on" | "open" | "reached" | "request" | "requests">,
  url: URL,
  body: string,
  response: ServerResponse,
): Promise<void> {
  const name = url.searchParams.get("name") ?? "";
  const verb = url.pathname.slice("/control/".length);
  if (verb === "on") provider.on(name, ...(JSON.parse(body) as Script[]));
  else if (verb === "open") provider.open(name);
  else if (verb === "reached") await provider.reached(name);
  else if (verb === "requests") {
    const count = provider.requests.filter((request) => isAbout(request, name)).length;
    return sendJson(response, 200, { count });
  } else if (verb === "request" || verb === "closed") {
    const request = await provider.request(name, Number(url.searchParams.get("n") ?? 1));
    if (verb === "closed") await request.closed;
    return sendJson(response, 200, request);
  } else return sendJson(response, 404, { error: { message: `No such verb: ${verb}` } });
  sendJson(response, 200, {});
}

function isAbout({ prompt, question }: ProviderRequest, key: string): boolean {
  return prompt.includes(key) || question.includes(key);
}

/** Prefix of the instruction to continue an answer (lib/turn/prompt.ts). */
const goOn = "Your answer above was cut off.";

function asked(messages: unknown): Pick<ProviderRequest, "prompt" | "question"> {
  if (typeof messages === "string") return { prompt: messages, question: messages };
  const list = (messages ?? []) as { role?: string; content?: string | { text?: string }[] }[];
  const texts = list.flatMap(({ role, content = "" }) => {
    if (role !== "user") return [];
    return [typeof content === "string" ? content : content.map((part) => part.text ?? "").join("")];
  });
  const prompt = texts.at(-1) ?? "";
  return { prompt, question: texts.findLast((text) => !text.startsWith(goOn)) ?? "" };
}

async function readBody(incoming: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of incoming) parts.push(part as Buffer);
  return Buffer.concat(parts).toString("utf8");
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => response.once("drain", resolve));
}

function pause(milliseconds: number): Promise<void> | undefined {
  if (milliseconds > 0) return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      port: { type: "string", default: "4010" },
      tokens: { type: "string", default: "300" },
      rate: { type: "string", default: "0" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(
      "node test/provider.ts [--port 4010] [--tokens 300] [--rate tokens-per-second, 0 = as fast as it goes]",
    );
  } else {
    const text = Array.from({ length: Number(values.tokens) }, (_, index) => `word${index}`).join(" ");
    const perSecond = Number(values.rate) || undefined;
    const script: Script = [{ tokens: text, perSecond }, { finish: "stop" }];
    const provider = await startProvider(script, { port: Number(values.port) });
    console.log(provider.url);
  }
}
