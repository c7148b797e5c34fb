// Stop from anywhere: docs/protocol.md §5, on the server that runs the turn and on another.
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { underLoad } from "@/test/under-load";
import { gated, gateOf, header, newKey, outline, shapes, type TestServer, testCluster, textOf } from "./cluster";

const cluster = testCluster({ servers: 2 });
const tokens = ["One", " two", " three"];

type Stopped = { turnId: string | null; status: string | null };

const stopChat = (chatId: string, server: TestServer = cluster.a) =>
  cluster.api<Stopped>("POST", `/api/chat/${chatId}/stop`, { server });
const stopTurn = (turnId: string, server: TestServer = cluster.a) =>
  cluster.api<Stopped>("DELETE", `/api/turns/${turnId}`, { server });

const ways = [
  ["the owner, by chat", (chatId: string, _turnId: string) => stopChat(chatId)],
  ["the other server, by chat", (chatId: string, _turnId: string) => stopChat(chatId, cluster.b)],
  ["the owner, by turn", (_chatId: string, turnId: string) => stopTurn(turnId)],
  ["the other server, by turn", (_chatId: string, turnId: string) => stopTurn(turnId, cluster.b)],
] as const;

test.each(shapes)(
  "I11: before the first token, %s: the provider request closes within a second",
  async (_shape, model) => {
    for (const [, stop] of ways) {
      const key = newKey();
      cluster.provider.on(key, [{ gate: key }, { text: "Never." }, { finish: "stop" }]);
      const stream = await cluster.send(key, { model });
      const request = await cluster.provider.request(key);
      const [chatId, turnId] = [header(stream, "x-chat-id"), header(stream, "x-turn-id")];
      const askedAtMs = performance.now();
      const answer = await stop(chatId, turnId);
      expect(await request.closed).toBe("client");
      expect(performance.now() - askedAtMs).toBeLessThan(underLoad(1_000));
      expect([answer.status, answer.body]).toEqual([200, { turnId, status: "stopped" }]);
      expect(await stream.ended).toBe("terminal");
      expect(outline(stream.chunks).slice(-4)).toEqual(["generate done", "message-metadata", "turn stopped", "abort"]);
      expect(stream.frames.at(-1)?.data).toBe("[DONE]");
      expect((await cluster.turn(turnId)).status).toBe("stopped");
      expect((await cluster.answer(chatId)).metadata).toMatchObject({ status: "stopped" });
    }
  },
);

test.each(ways)(
  "I11 I12: mid-stream at %s: the text seen is kept, parts are closed, one abort",
  async (_name, stop) => {
    for (const shape of shapes) {
      const key = newKey();
      cluster.provider.on(key, gated(key, tokens));
      const stream = await cluster.send(key, { model: shape[1] });
      const [chatId, turnId] = [header(stream, "x-chat-id"), header(stream, "x-turn-id")];
      const remote = await cluster.follow(turnId, { server: cluster.b });
      await cluster.walk(stream, key, tokens, 0);
      await Promise.all([stream, remote].map((reader) => reader.until(({ text }) => text === "One two")));
      const answer = await stop(chatId, turnId);
      expect(answer.body).toEqual({ turnId, status: "stopped" });
      const request = await cluster.provider.request(key);
      expect(await request.closed).toBe("client");
      for (const reader of [stream, remote]) {
        expect(await reader.ended).toBe("terminal");
        expect(reader.text).toBe("One two");
        const end = [
          "text-delta",
          "text-end",
          "finish-step",
          "generate done",
          "message-metadata",
          "turn stopped",
          "abort",
        ];
        expect(outline(reader.chunks).slice(-end.length)).toEqual(end);
        expect(reader.chunks.at(-1)).toEqual({ type: "abort", reason: "stopped" });
      }
      const stored = await cluster.answer(chatId);
      expect(textOf(stored)).toBe("One two");
      expect(stored.metadata).toMatchObject({ status: "stopped" });
      const next = await cluster.send("Go on.", { chatId });
      expect(await next.ended).toBe("terminal");
    }
  },
);

test("I11: stop is idempotent, even ten at once on both servers", async () => {
  const key = newKey();
  cluster.provider.on(key, gated(key, tokens));
  const stream = await cluster.send(key);
  const [chatId, turnId] = [header(stream, "x-chat-id"), header(stream, "x-turn-id")];
  await stream.until(({ text }) => text === "One");
  const answers = await Promise.all(
    Array.from({ length: 10 }, (_, index) => {
      const server = index % 2 ? cluster.b : cluster.a;
      return index % 4 < 2 ? stopChat(chatId, server) : stopTurn(turnId, server);
    }),
  );
  expect(answers.map(({ status, body }) => ({ status, body }))).toEqual(
    Array(10).fill({ status: 200, body: { turnId, status: "stopped" } }),
  );
  expect((await stopChat(chatId, cluster.b)).body).toEqual({ turnId, status: "stopped" });
  expect(await stream.ended).toBe("terminal");
  expect(outline(stream.chunks).filter((word) => word === "abort")).toHaveLength(1);
});

test("I11: a stop that comes too late is not reported as a stop", async () => {
  const stream = await cluster.send(newKey());
  expect(await stream.ended).toBe("terminal");
  const [chatId, turnId] = [header(stream, "x-chat-id"), header(stream, "x-turn-id")];
  for (const server of [cluster.a, cluster.b]) {
    expect((await stopChat(chatId, server)).body).toEqual({ turnId, status: "complete" });
    expect((await stopTurn(turnId, server)).body).toEqual({ turnId, status: "complete" });
  }
  expect(textOf(await cluster.answer(chatId))).toBe(stream.text);
});

test("a chat without a turn has nothing to stop; an unknown chat or turn is 404", async () => {
  const { body: chat } = await cluster.api<{ id: string }>("POST", "/api/chats", { body: {} });
  expect((await stopChat(chat.id)).body).toEqual({ turnId: null, status: null });
  expect((await stopChat(randomUUID())).status).toBe(404);
  expect((await stopTurn(randomUUID())).status).toBe(404);
});

test("I4 I11: stop races finish: one terminal, and every response reports the same end", async () => {
  for (let round = 0; round < 12; round++) {
    const key = newKey();
    cluster.provider.on(key, gated(key, ["Word."]));
    const stream = await cluster.send(key);
    const [chatId, turnId] = [header(stream, "x-chat-id"), header(stream, "x-turn-id")];
    await stream.until(({ text }) => text === "Word.");
    const stopping = () => stopChat(chatId, round % 2 ? cluster.b : cluster.a);
    const finishing = () => cluster.provider.open(gateOf(key, 0));
    if (round % 4 < 2) finishing();
    const stopped = stopping();
    if (round % 4 >= 2) finishing();
    const { status } = (await stopped).body;
    expect(await stream.ended).toBe("terminal");
    expect(["complete", "stopped"]).toContain(status);
    expect(outline(stream.chunks).at(-1)).toBe(status === "complete" ? "finish" : "abort");
    expect((await cluster.turn(turnId)).status).toBe(status);
    expect(textOf(await cluster.answer(chatId))).toBe("Word.");
  }
});

test("deleting a chat stops its turn", async () => {
  const key = newKey();
  cluster.provider.on(key, gated(key, tokens));
  const stream = await cluster.send(key);
  await stream.until(({ text }) => text === "One");
  const chatId = header(stream, "x-chat-id");
  expect((await cluster.api("DELETE", `/api/chats/${chatId}`, { server: cluster.b })).status).toBe(204);
  const request = await cluster.provider.request(key);
  expect(await request.closed).toBe("client");
  expect((await cluster.api("GET", `/api/chats/${chatId}`)).status).toBe(404);
  const [left] =
    await cluster.sql`select count(*)::int as chunks from turn_chunks where turn_id = ${header(stream, "x-turn-id")}`;
  expect(left).toEqual({ chunks: 0 });
  stream.close();
});
