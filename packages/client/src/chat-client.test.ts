import { readdirSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { TurnChunk } from "@/lib/turn/chunks";
import { foldChunks } from "@/lib/turn/fold";
import { cut, type Exchange, json, type ScriptedServer, startScriptedServer } from "@/test/client/scripted-server";
import { context, names, question, readGolden, type Script, speak, tinyTurn } from "@/test/dialect-server";
import { type ChatClientOptions, createChatClient, type SendOptions } from "./chat-client.ts";
import { type ChatEvent, type ChatSource, eventsOf } from "./chat-events.ts";
import type { DialectName } from "./dialects.ts";

let server: ScriptedServer;
beforeEach(async () => {
  server = await startScriptedServer();
});
afterEach(() => server.close());

const golden: [name: string, turn: TurnChunk[]][] = readdirSync(path.join(import.meta.dirname, "../../../test/golden"))
  .filter((file) => file.endsWith(".json") && file !== "context.json")
  .map((file) => [file.slice(0, -5), readGolden(file)]);

function open(dialect: DialectName, options: Partial<ChatClientOptions> = {}) {
  const fast = { backoff: { minMs: 1, maxMs: 2 }, pollMs: 10, failuresBeforeFallback: 2 };
  return createChatClient({ baseUrl: server.url, token: "rvl_x", userId: "user-0001", dialect, ...fast, ...options });
}

async function receive(dialect: DialectName, options?: Partial<ChatClientOptions>, sending?: SendOptions) {
  const events: ChatEvent[] = [];
  for await (const event of open(dialect, options).send(question, sending)) events.push(event);
  return events;
}

const textOf = (events: ChatEvent[]) => events.map((event) => (event.type === "text" ? event.delta : "")).join("");
const sourcesOf = (events: ChatEvent[]): ChatSource[] =>
  events.flatMap((event) => (event.type === "sources" ? event.sources : []));
const toolsOf = (events: ChatEvent[]) => events.filter(({ type }) => type === "tool-call" || type === "tool-result");
/** Order-independent: calls may overlap. */
const sorted = (events: ChatEvent[]) => events.map((event) => JSON.stringify(event)).sort();

async function storedEvents(turn: TurnChunk[], name: DialectName) {
  const message = await foldChunks(turn);
  const ended = turn.findLast((chunk) => chunk.type === "data-turn");
  const { status, error } = ended?.type === "data-turn" ? ended.data : {};
  const metadata = { ...message.metadata, status, error } as typeof message.metadata;
  return eventsOf({ ...message, metadata }, name === "text" ? "" : undefined);
}

const tells = {
  sources: new Set<DialectName>(["ai-sdk", "text", "snapshot", "content", "rag"]),
  tools: new Set<DialectName>(["ai-sdk", "agent", "text"]),
  calls: new Set<DialectName>(["ai-sdk", "agent", "text"]),
  stopped: new Set<DialectName>(["ai-sdk", "text", "snapshot"]),
  code: new Set<DialectName>(["ai-sdk", "text", "snapshot", "content", "openai"]),
};

/** The part of a stored answer that the format conveys. */
function streamedEventsOf(name: DialectName, stored: ChatEvent[]): ChatEvent[] {
  const untold = new Set<string>([
    ...(tells.sources.has(name) ? [] : ["sources"]),
    ...(tells.calls.has(name) ? [] : ["tool-call"]),
    ...(tells.tools.has(name) ? [] : ["tool-result"]),
  ]);
  return stored.flatMap((event): ChatEvent[] => {
    if (untold.has(event.type)) return [];
    if (event.type === "stopped" && !tells.stopped.has(name)) return [{ type: "done" }];
    if (event.type === "error" && !tells.code.has(name)) return [{ type: "error", message: event.message }];
    return [event];
  });
}

function expectAnswer(received: ChatEvent[], expected: ChatEvent[]): void {
  expect(textOf(received)).toBe(textOf(expected));
  expect(sourcesOf(received)).toEqual(sourcesOf(expected));
  expect(sorted(toolsOf(received))).toEqual(sorted(toolsOf(expected)));
  expect(received.at(-1)).toEqual(expected.at(-1));
}

describe.each(names)("%s", (name) => {
  const script = (turn: TurnChunk[], breaks?: Script["breaks"]) => speak({ name, turn, breaks });

  test.each(golden)("the recorded turn %s, streamed", async (_, turn) => {
    server.answer = script(turn);
    expectAnswer(await receive(name), streamedEventsOf(name, await storedEvents(turn, name)));
  });

  test.each(golden)("I3: %s, cut after every block, gives the same events", async (_, turn) => {
    server.answer = script(turn);
    const uncut = await receive(name);
    server.exchanges.length = 0;
    server.answer = script(turn, (exchange, blocks) => {
      exchange.response.write(blocks[0] ?? "");
      cut(exchange);
      return true;
    });
    expect(await receive(name)).toEqual(uncut);
    const posts = server.exchanges.filter(({ method }) => method === "POST");
    expect(new Set(posts.map(({ headers }) => headers["idempotency-key"])).size).toBe(1);
  });

  test.each(golden)("I18: %s, broken after any block and never streamed again: the same events", async (_, turn) => {
    const stored = await storedEvents(turn, name);
    const streamed = streamedEventsOf(name, stored);
    let blocks: string[] = [];
    for (let k = 0; k === 0 || k < blocks.length; k++) {
      let streams = 0;
      server.answer = script(turn, (exchange, whole) => {
        streams += 1;
        if (streams === 1) blocks = whole;
        if (streams === 1) exchange.response.write(whole.slice(0, k).join(""));
        cut(exchange);
        return true;
      });
      const received = await receive(name);
      expect(textOf(received), `after ${k} blocks`).toBe(textOf(stored));
      // The stored message may tell more; it is not fetched when the stream got that far.
      expect([streamed, stored].map(sourcesOf)).toContainEqual(sourcesOf(received));
      expect(sorted(toolsOf(stored))).toEqual(expect.arrayContaining(sorted(toolsOf(received))));
      expect(sorted(toolsOf(received))).toEqual(expect.arrayContaining(sorted(toolsOf(streamed))));
      expect([streamed.at(-1), stored.at(-1)]).toContainEqual(received.at(-1));
    }
  });

  test("I3 I19: cut at every byte, gives the same events as uncut", async () => {
    let wire = Buffer.alloc(0);
    server.answer = script(tinyTurn, ({ method }, blocks) => {
      if (method === (name === "text" ? "GET" : "POST") && wire.length === 0) wire = Buffer.from(blocks.join(""));
      return false;
    });
    const uncut = await receive(name);
    expect(textOf(uncut)).toBe("Grüße 日本🌊");
    // Where to cut the next stream: `text` opens one only after its native question.
    const cuts: number[] = [];
    server.answer = script(tinyTurn, (exchange) => {
      const begins = (exchange.method === "GET") === (name === "text") && !exchange.query.has("after");
      const at = begins ? cuts.pop() : undefined;
      if (at === undefined) return false;
      exchange.response.write(wire.subarray(0, at));
      // A clean early end must be treated like a broken connection.
      if (at % 2) exchange.response.end();
      else cut(exchange);
      return true;
    });
    for (let at = 0; at <= wire.length; at++) {
      cuts.push(at);
      expect(await receive(name), `cut at ${at}`).toEqual(uncut);
    }
  }, 120_000);

  test("a rejected request throws the server's message, without a retry", async () => {
    const { registry } = await import("@/lib/dialects/registry");
    const failure = { status: 401, code: "unauthorized", message: "Sign in.", requestId: "r1" };
    const body = registry.find(name)?.failure?.(failure) ?? { error: failure };
    server.answer = (exchange) => json(exchange, 401, body);
    await expect(receive(name)).rejects.toMatchObject({ name: "RequestError", status: 401, message: "Sign in." });
    expect(server.exchanges).toHaveLength(1);
  });

  test.each([
    ["invalid JSON", "{"],
    ["JSON of another type", "7"],
  ])("%s in an event is an error, not a hang", async (_, data) => {
    server.answer = ({ response }) => {
      response.writeHead(200, { "Content-Type": "text/event-stream", "X-Turn-Id": context.turnId });
      response.write(`data: ${data}\nid: ${context.turnId}.1\n\n`);
    };
    await expect(receive(name)).rejects.toMatchObject({ code: "bad_response" });
  });

  test("stop ends the turn on the server, and the answer ends as stopped", async () => {
    const turn = readGolden("stopped.json") as TurnChunk[];
    let waiting: { exchange: Exchange; blocks: string[]; sent: number } | undefined;
    const answer = script(turn, (exchange, blocks) => {
      const sent = blocks.findIndex((block) => block.includes("Half")) + 1;
      exchange.response.write(blocks.slice(0, sent).join(""));
      // Only `text` opens a second stream; its first, native one is not read.
      waiting = { exchange, blocks, sent };
      return true;
    });
    server.answer = (exchange) => {
      if (exchange.method !== "DELETE") return answer(exchange);
      expect(exchange.path).toBe(`/api/turns/${context.turnId}`);
      waiting?.exchange.response.end(waiting.blocks.slice(waiting.sent).join(""));
      json(exchange, 200, { turnId: context.turnId, status: "stopped" });
    };
    const asked = open(name).send(question);
    const events: ChatEvent[] = [];
    let stopped: Promise<string | null> | undefined;
    for await (const event of asked) {
      events.push(event);
      if (event.type === "text") stopped = asked.stop();
    }
    expect(await stopped).toBe("stopped");
    expect(textOf(events)).toBe("Half");
    expect(events.at(-1)).toEqual({ type: "stopped" });
  });
});

test("sends the question, options and token in the dialect's format", async () => {
  const options = { model: "local", searchMode: "selected" as const, documentIds: [context.chatId] };
  const bodies: Record<string, unknown> = {};
  for (const name of names) {
    server.exchanges.length = 0;
    server.answer = speak({ name, turn: tinyTurn });
    for await (const _ of open(name).send({ ...question, ...options }, { key: "key-0001" }));
    const [first] = server.exchanges;
    expect(first).toMatchObject({
      method: "POST",
      headers: { authorization: "Bearer rvl_x", "idempotency-key": "key-0001", accept: "text/event-stream" },
    });
    bodies[`${name} ${first?.path}`] = JSON.parse(first?.body ?? "");
  }
  const camel = options;
  const snake = { model: "local", search_mode: "selected", document_ids: [context.chatId] };
  const native = {
    id: context.chatId,
    message: { id: "key-0001", role: "user", parts: [{ type: "text", text: question.text }] },
    ...camel,
  };
  expect(bodies).toEqual({
    "ai-sdk /api/chat": native,
    "text /api/chat": native,
    "snapshot /api/v1/chat/stream": { text: question.text, conversation_id: context.chatId, ...snake },
    "content /api/v1/chat": {
      message: question.text,
      stream: true,
      include_sources: true,
      conversation_id: context.chatId,
      ...snake,
    },
    "agent /api/user-0001/chat/stream": { message: question.text, conversation_id: context.chatId, ...snake },
    [`rag /chat/${context.chatId}/stream`]: { question: question.text, ...snake },
    [`token /sessions/${context.chatId}/messages/stream`]: { content: question.text, role: "user", ...camel },
    "openai /v1/chat/completions": {
      messages: [{ role: "user", content: question.text }],
      stream: true,
      stream_options: { include_usage: true },
      metadata: { chat_id: context.chatId },
      ...snake,
    },
  });
});

test.each(["rag", "token"] as const)("%s: creates a chat for a question without one", async (name) => {
  const answer = speak({ name, turn: tinyTurn });
  let made = 0;
  server.answer = (exchange) => {
    if (exchange.path !== "/api/chats") return answer(exchange);
    made += 1;
    // The first response is lost, the second reports that the chat exists.
    if (made === 1) exchange.response.socket?.destroy();
    else json(exchange, 409, { error: { code: "conflict", message: "You have one." } });
  };
  const asked = open(name).send("Hello", { key: "key-0001" });
  for await (const _ of asked);
  const ids = server.exchanges.filter(({ path }) => path === "/api/chats").map(({ body }) => JSON.parse(body).id);
  expect(ids).toEqual(["key-0001", "key-0001"]);
  expect(server.exchanges.at(-1)?.path).toContain("/key-0001/");
  expect(asked.chatId).toBe(context.chatId);
});

test.each(["content", "agent", "openai"] as const)("%s: without streams, a JSON answer", async (name) => {
  const turn = readGolden("plain.json") as TurnChunk[];
  const answer = speak({ name, turn, breaks: (exchange) => Boolean(exchange.response.socket?.destroy()) });
  server.answer = (exchange) => {
    const accept = exchange.headers.accept ?? "";
    if (accept.includes("text/event-stream")) return void exchange.response.writeHead(502).end("<html>");
    answer(exchange);
  };
  const received = await receive(name, { attempts: 2 });
  expectAnswer(received, streamedEventsOf(name, await storedEvents(turn, name)));
  expect(new Set(server.exchanges.map(({ headers }) => headers["idempotency-key"])).size).toBe(1);
});

test("limits attempts", async () => {
  const answer = speak({
    name: "rag",
    turn: tinyTurn,
    breaks: (exchange, blocks) => {
      exchange.response.write(blocks[0] ?? "");
      cut(exchange);
      return true;
    },
  });
  server.answer = (exchange) => (exchange.number === 1 ? answer(exchange) : void exchange.response.socket?.destroy());
  await expect(receive("rag", { attempts: 3 })).rejects.toMatchObject({ code: "unreachable" });
  // The first stream failed too; then the second and, after two failed streams, the turn's state.
  expect(server.exchanges.map(({ method, path }) => `${method} ${path}`)).toEqual([
    `POST /chat/${context.chatId}/stream`,
    `GET /chat/${context.chatId}/stream`,
    `GET /api/turns/${context.turnId}`,
  ]);
});

test("gives up on a question that cannot be sent at all", async () => {
  server.answer = ({ response }) => response.socket?.destroy();
  await expect(receive("snapshot", { attempts: 3 })).rejects.toMatchObject({ code: "unreachable" });
  expect(server.exchanges).toHaveLength(3);
});

test("an answer that exceeds its timeout is abandoned", async () => {
  server.answer = ({ response }) => {
    response.writeHead(200, { "Content-Type": "text/event-stream", "X-Turn-Id": context.turnId });
    response.write(": open\n\n");
  };
  await expect(receive("content", { timeoutMs: 100 })).rejects.toMatchObject({ code: "timeout" });
  await server.exchanges[0]?.left;
  expect(server.exchanges).toHaveLength(1);
});

test("an abort disconnects with its reason and does not stop the turn", async () => {
  server.answer = ({ response }) => {
    response.writeHead(200, { "Content-Type": "text/event-stream", "X-Turn-Id": context.turnId });
    response.write(": open\n\n");
  };
  const leaving = new AbortController();
  const received = receive("token", {}, { signal: leaving.signal });
  const rejected = expect(received).rejects.toThrow("enough");
  const post = await server.exchange(() => true);
  leaving.abort(new Error("enough"));
  await rejected;
  await post.left;
  expect(server.exchanges).toHaveLength(1);
});

test("leaving the loop closes the connection", async () => {
  server.answer = speak({
    name: "rag",
    turn: tinyTurn,
    breaks: (exchange, blocks) => exchange.response.write(blocks[0] ?? "") || true,
  });
  const client = open("rag");
  for await (const _ of client.send(question)) break;
  await server.exchanges[0]?.left;
  expect(client.connection.getSnapshot()).toBe("idle");
});

test("with a buffer, the same answer arrives in fewer pieces", async () => {
  const words = Array.from({ length: 40 }, (_, n): TurnChunk => ({ type: "text-delta", id: "t", delta: `w${n} ` }));
  const turn = tinyTurn.flatMap((chunk) => (chunk.type === "text-delta" ? words : [chunk]));
  server.answer = speak({ name: "content", turn });
  const single = await receive("content");
  const joined = await receive("content", { buffer: { pieces: 10, intervalMs: 60_000 } });
  expect(joined.filter(({ type }) => type === "text")).toHaveLength(8);
  expect(textOf(joined)).toBe(textOf(single));
  expect(joined.slice(-2)).toEqual(single.slice(-2));
});

test("`agent` requires a user id", () => {
  expect(() => createChatClient({ dialect: "agent" })).toThrow("userId");
});
