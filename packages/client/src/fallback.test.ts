import { afterEach, beforeEach, expect, test } from "vitest";
import type { ChatMessage, TurnChunk } from "@/lib/turn/chunks";
import {
  cut,
  type Exchange,
  HeadlessChat,
  json,
  type ScriptedServer,
  startScriptedServer,
  stream,
} from "@/test/client/scripted-server";
import { chatId, frames, preamble, richTurn, stored, streamAfter, turnId, turnState } from "@/test/client/turn-script";
import { ResumableChatTransport, type TransportOptions } from "./transport.ts";

let server: ScriptedServer;
beforeEach(async () => {
  server = await startScriptedServer();
});
afterEach(() => server.close());

const followPath = `/api/turns/${turnId}/stream`;
const statePath = `/api/turns/${turnId}`;
const messagesPath = `/api/chats/${chatId}/messages`;

function open(options: TransportOptions = {}) {
  const fast = { baseUrl: server.url, backoff: { minMs: 1, maxMs: 2 }, failuresBeforePolling: 2, pollMs: 10 };
  const transport = new ResumableChatTransport({ ...fast, ...options });
  return { transport, chat: new HeadlessChat({ id: chatId, transport }) };
}

async function answerOf(turn: TurnChunk[]): Promise<ChatMessage> {
  server.answer = (exchange) => {
    stream(exchange, turnId, streamAfter(turn, null));
    exchange.response.end();
  };
  const { chat } = open();
  await chat.sendMessage({ text: "Hello" });
  return stored(chat.lastMessage);
}

/** The first stream breaks after k chunks, others are refused; the turn ended with this message. */
function breakAfter(k: number, turn: TurnChunk[], answer: ChatMessage) {
  return (exchange: Exchange) => {
    if (exchange.path === statePath) return json(exchange, 200, turnState(answer.metadata?.status ?? "complete"));
    if (exchange.path === messagesPath) return json(exchange, 200, { messages: [answer], nextCursor: null });
    if (exchange.path === followPath) return void exchange.response.writeHead(502).end();
    stream(exchange, turnId, preamble + frames(turn.slice(0, k)));
    cut(exchange);
  };
}

test("I18: after any chunk, the fallback ends with exactly the stored message", async () => {
  const answer = await answerOf(richTurn);
  expect(answer.parts).toHaveLength(12);
  for (let k = 0; k < richTurn.length; k++) {
    server.answer = breakAfter(k, richTurn, answer);
    const { chat } = open();
    await chat.sendMessage({ text: "Hello" });
    expect(chat.error).toBeUndefined();
    expect(stored(chat.lastMessage)).toEqual(answer);
    expect(chat.messages).toHaveLength(2);
    expect(chat.seen.at(-1)).toEqual({ type: "finish" });
  }
});

test("I18: after any chunk of a resumed stream, the fallback ends with exactly the stored message", async () => {
  const answer = await answerOf(richTurn);
  for (let k = 0; k < richTurn.length; k++) {
    server.answer = breakAfter(k, richTurn, answer);
    const { chat } = open();
    chat.messages = [{ ...answer, metadata: undefined, parts: answer.parts.slice(0, 3) }];
    await chat.resumeStream();
    expect(chat.error).toBeUndefined();
    expect(chat.messages.map(stored)).toEqual([answer]);
  }
});

test("a failed turn is a failure in the fallback too", async () => {
  const error = { code: "provider_timeout" as const, message: "The model did not answer in time.", retryable: true };
  const answer = await answerOf(richTurn);
  answer.metadata = { ...(answer.metadata as NonNullable<ChatMessage["metadata"]>), status: "failed", error };
  server.answer = breakAfter(20, richTurn, answer);
  const { chat } = open();
  await chat.sendMessage({ text: "Hello" });
  expect(chat.error?.message).toBe(error.message);
  expect(stored(chat.lastMessage)).toEqual(answer);
});

test("polls while the turn runs, and stops when a stream works again", async () => {
  let polls = 0;
  server.answer = (exchange) => {
    if (exchange.path === statePath) {
      polls += 1;
      return json(exchange, 200, turnState("running"));
    }
    if (exchange.path === followPath && polls < 3) return void exchange.response.socket?.destroy();
    const rest = streamAfter(richTurn, exchange.query.get("after"));
    if (exchange.path === followPath) {
      stream(exchange, turnId, rest);
      return exchange.response.end();
    }
    stream(exchange, turnId, preamble + frames(richTurn.slice(0, 10)));
    cut(exchange);
  };
  const { chat, transport } = open();
  const states: string[] = [];
  transport.connection.subscribe(() => states.push(transport.connection.getSnapshot()));
  await chat.sendMessage({ text: "Hello" });
  expect(chat.seen).toEqual(richTurn);
  expect(polls).toBe(3);
  expect(states).toEqual(["connecting", "live", "reconnecting", "polling", "live", "idle"]);
});

test("shows the answer behind a proxy that holds back every stream", async () => {
  const answer = await answerOf(richTurn);
  server.exchanges.length = 0;
  server.answer = (exchange) => {
    if (exchange.path === statePath) {
      const follows = server.exchanges.filter(({ path }) => path === followPath).length;
      return json(exchange, 200, turnState(follows < 4 ? "running" : "complete"));
    }
    if (exchange.path === messagesPath) return json(exchange, 200, { messages: [answer], nextCursor: null });
    stream(exchange, turnId, "");
  };
  const { chat } = open({ heartbeatMs: 50 });
  await chat.sendMessage({ text: "Hello" });
  expect(stored(chat.lastMessage)).toEqual(answer);
});

test.each([
  ["204", 204],
  ["404 because its log is pruned", 404],
])("when the cursor gets %s, reads the ended turn from its message", async (_name, status) => {
  const answer = await answerOf(richTurn);
  server.exchanges.length = 0;
  const otherwise = breakAfter(20, richTurn, answer);
  server.answer = (exchange) =>
    exchange.path === followPath ? void exchange.response.writeHead(status).end() : otherwise(exchange);
  const { chat } = open();
  await chat.sendMessage({ text: "Hello" });
  expect(stored(chat.lastMessage)).toEqual(answer);
  expect(server.exchanges.map(({ path }) => path)).toEqual(["/api/chat", followPath, statePath, messagesPath]);
});

test("a deleted turn is an error", async () => {
  server.answer = (exchange) => {
    if (exchange.method === "GET") return json(exchange, 404, { error: { code: "not_found", message: "Unknown." } });
    stream(exchange, turnId, preamble + frames(richTurn.slice(0, 5)));
    cut(exchange);
  };
  const { chat } = open();
  await chat.sendMessage({ text: "Hello" });
  expect(chat.error).toMatchObject({ code: "not_found", status: 404 });
});
