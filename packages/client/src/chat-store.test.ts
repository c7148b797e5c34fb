import { afterEach, beforeEach, expect, test } from "vitest";
import type { TurnChunk } from "@/lib/turn/chunks";
import { json, type ScriptedServer, startScriptedServer } from "@/test/client/scripted-server";
import { context, readGolden, speak, tinyTurn } from "@/test/dialect-server";
import { createChatClient } from "./chat-client.ts";
import { type ChatState, createChatStore } from "./chat-store.ts";
import type { DialectName } from "./dialects.ts";

let server: ScriptedServer;
beforeEach(async () => {
  server = await startScriptedServer();
});
afterEach(() => server.close());

function open(dialect: DialectName, chat?: string) {
  const options = { backoff: { minMs: 1, maxMs: 2 }, attempts: 2, pollMs: 10, userId: "user-0001" };
  const store = createChatStore(createChatClient({ baseUrl: server.url, dialect, ...options }), { chat });
  const states: ChatState[] = [];
  store.subscribe(() => states.push(store.getSnapshot()));
  return { store, states };
}

const seen = <K extends keyof ChatState>(states: ChatState[], key: K) =>
  states.map((state) => state[key]).filter((value, index, all) => index === 0 || value !== all[index - 1]);

test("a question becomes a message at once, its answer when it ends", async () => {
  server.answer = speak({ name: "rag", turn: readGolden("sources.json") });
  const { store, states } = open("rag", context.chatId);
  expect(store.getSnapshot()).toMatchObject({ messages: [], isStreaming: false, streamedText: "", error: null });
  await store.send("What is a rivulet?");
  expect(seen(states, "isStreaming")).toEqual([false, true, false]);
  expect(seen(states, "streamedText")).toEqual(["", "A rivulet is ", "A rivulet is a small river [1].", ""]);
  expect(seen(states, "status")).toEqual([null, "Searching documents...", "Generating response...", null]);
  const { messages, sources } = store.getSnapshot();
  expect(messages).toEqual([
    { id: expect.any(String), role: "user", text: "What is a rivulet?" },
    {
      ...{ id: expect.any(String), role: "assistant", end: "done", sources, toolCalls: [] },
      text: "A rivulet is a small river [1].",
    },
  ]);
  expect(sources.map(({ ordinal }) => ordinal)).toEqual([1, 2]);
});

test("tools appear with their arguments, then with their results", async () => {
  server.answer = speak({ name: "agent", turn: readGolden("tool-error.json") });
  const { store, states } = open("agent");
  await store.send("Add it");
  expect(states.some(({ toolCalls }) => toolCalls.length === 2 && toolCalls.every(({ done }) => !done))).toBe(true);
  expect(store.getSnapshot().toolCalls).toEqual([
    {
      ...{ id: "call_1", name: "add_task", arguments: { title: "fail" }, done: true },
      result: { error: expect.stringContaining("taken") },
    },
    {
      ...{ id: "call_2", name: "add_task", arguments: { wrong: 1 }, done: true },
      result: { error: expect.any(String) },
    },
  ]);
});

test("the next question goes to the same chat", async () => {
  server.answer = speak({ name: "content", turn: tinyTurn });
  const { store } = open("content");
  await store.send("One");
  await store.send("Two");
  const bodies = server.exchanges.map(({ body }) => JSON.parse(body));
  expect(bodies.map((body) => body.conversation_id)).toEqual([undefined, context.chatId]);
  expect(store.getSnapshot().messages.map(({ text }) => text)).toEqual(["One", "Grüße 日本🌊", "Two", "Grüße 日本🌊"]);
});

test("the server's history replaces the page's", async () => {
  server.answer = speak({ name: "snapshot", turn: tinyTurn });
  const { store } = open("snapshot", context.chatId);
  await store.send("What is a rivulet?");
  expect(store.getSnapshot().messages).toEqual([
    { id: context.userMessageId, role: "user", text: "What is a rivulet?" },
    { ...{ id: context.messageId, role: "assistant", end: "done" }, text: "Grüße 日本🌊", sources: [], toolCalls: [] },
  ]);
});

test("cancel stops the turn on the server and keeps the text so far", async () => {
  const turn = readGolden("stopped.json") as TurnChunk[];
  let release = () => {};
  const answer = speak({
    name: "token",
    turn,
    breaks: ({ response }, blocks) => {
      response.write(blocks.slice(0, 2).join(""));
      release = () => response.end(blocks.slice(2).join(""));
      return true;
    },
  });
  server.answer = (exchange) => {
    if (exchange.method !== "DELETE") return answer(exchange);
    release();
    json(exchange, 200, { turnId: context.turnId, status: "stopped" });
  };
  const { store, states } = open("token", context.chatId);
  const sent = store.send("Go on");
  await expect.poll(() => store.getSnapshot().streamedText, { interval: 1 }).toBe("Half");
  await store.cancel();
  await sent;
  expect(server.exchanges.map(({ method, path }) => `${method} ${path}`)).toContain(
    `DELETE /api/turns/${context.turnId}`,
  );
  expect(states.at(-1)).toMatchObject({ isStreaming: false, error: null });
  expect(store.getSnapshot().messages.at(-1)).toMatchObject({ text: "Half", end: "stopped" });
});

test("retry after a failed answer asks again and replaces it", async () => {
  server.answer = speak({ name: "content", turn: readGolden("failed.json") });
  const { store } = open("content", context.chatId);
  await store.send("Try");
  expect(store.getSnapshot()).toMatchObject({ isStreaming: false, error: { code: "internal" } });
  expect(store.getSnapshot().messages.at(-1)).toMatchObject({ text: "Half", end: "error" });
  server.answer = speak({ name: "content", turn: tinyTurn });
  await store.retry();
  expect(store.getSnapshot().messages.map(({ text }) => text)).toEqual(["Try", "Grüße 日本🌊"]);
  expect(store.getSnapshot().error).toBeNull();
  const keys = server.exchanges.map(({ headers }) => headers["idempotency-key"]);
  expect(new Set(keys).size).toBe(2);
});

test("retry of an undelivered question resends the same question", async () => {
  server.answer = ({ response }) => response.socket?.destroy();
  const { store } = open("rag", context.chatId);
  await store.send("Hello");
  expect(store.getSnapshot()).toMatchObject({ isStreaming: false, error: { code: "unreachable" } });
  expect(store.getSnapshot().messages).toHaveLength(1);
  server.answer = speak({ name: "rag", turn: tinyTurn });
  await store.retry();
  expect(store.getSnapshot().messages.map(({ text }) => text)).toEqual(["Hello", "Grüße 日本🌊"]);
  expect(new Set(server.exchanges.map(({ headers }) => headers["idempotency-key"])).size).toBe(1);
});

test("allows one answer at a time; leaving disconnects and stops nothing", async () => {
  server.answer = speak({
    name: "content",
    turn: tinyTurn,
    breaks: ({ response }, blocks) => response.write(blocks[0] ?? "") || true,
  });
  const { store } = open("content", context.chatId);
  const sent = store.send("One");
  await expect.poll(() => store.getSnapshot().streamedText, { interval: 1 }).toBe("Grüße ");
  await expect(store.send("Two")).rejects.toThrow("in progress");
  store.leave();
  await sent;
  await server.exchanges[0]?.left;
  expect(server.exchanges).toHaveLength(1);
  expect(store.getSnapshot().isStreaming).toBe(false);
});
