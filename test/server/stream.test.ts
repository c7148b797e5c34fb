// One turn on the wire: docs/protocol.md §2 and §4.
import { expect, test } from "vitest";
import type { TurnChunk } from "@/lib/turn/chunks";
import { blocksOf, header, idOf, newKey, opening, outline, rawOf, shapes, testCluster, textOf } from "./cluster";

const cluster = testCluster({ env: { HEARTBEAT_MS: "200" } });

const begin = ["start", "turn running"];
const retrieve = ["retrieve active", "source-document", "retrieve done"];
const answer = ["start-step", "text-start", "text-delta", "text-end", "finish-step"];
const generate = ["generate active", ...answer, "generate done"];
const end = ["message-metadata", "turn complete", "finish"];

test.each(shapes)("sends the chunks of a turn without documents, %s", async (_shape, model) => {
  const key = newKey();
  cluster.provider.on(key, [
    // Paced: an answer that arrives within one millisecond has no rate of tokens per second.
    { tokens: "Hello there.", perSecond: 50 },
    { finish: "stop", usage: { input: 3, output: 2 } },
  ]);
  const stream = await cluster.send(key, { model });
  expect(await stream.ended).toBe("terminal");
  expect(outline(stream.chunks)).toEqual([...begin, ...generate, ...end]);
  const turnId = header(stream, "x-turn-id");
  const chatId = header(stream, "x-chat-id");
  const { messageId, userMessageId } = (await cluster.turn(turnId)) as { messageId: string; userMessageId?: string };
  expect(stream.chunks.slice(0, 3)).toEqual([
    { type: "start", messageId, messageMetadata: { turnId, chatId, model, createdAt: expect.stringMatching(/Z$/) } },
    { type: "data-turn", data: { turnId, chatId, userMessageId, status: "running" }, transient: true },
    {
      type: "data-status",
      id: "generate",
      data: { stage: "generate", label: "Generating response…", state: "active" },
    },
  ]);
  expect(stream.chunks.slice(-3)).toEqual([
    {
      type: "message-metadata",
      messageMetadata: {
        status: "complete",
        usage: { inputTokens: 3, outputTokens: 2, totalTokens: 5 },
        timing: {
          firstTokenMs: expect.any(Number),
          durationMs: expect.any(Number),
          tokensPerSecond: expect.anything(),
        },
        searchMode: "all",
        confidence: null,
        groundedness: null,
        finishReason: "stop",
      },
    },
    { type: "data-turn", data: { turnId, status: "complete" }, transient: true },
    { type: "finish" },
  ]);
  expect(textOf(await cluster.answer(chatId))).toBe("Hello there.");
});

test("with documents, sources come once, complete, before the first token", async () => {
  const user = await cluster.guest();
  const form = new FormData();
  form.set("file", new File(["# Zebras\n\nEvery zebra has stripes of its own, like a fingerprint."], "zebras.md"));
  const uploaded = await fetch(`${cluster.a.url}/api/documents`, {
    method: "POST",
    headers: { authorization: `Bearer ${user.token}` },
    body: form,
  });
  const document = (await uploaded.json()) as { id: string };
  expect(uploaded.status).toBe(201);
  const key = newKey();
  const stream = await cluster.send(`Which stripes does a zebra have? ${key}`, {}, { user });
  expect(await stream.ended).toBe("terminal");
  expect(outline(stream.chunks)).toEqual([...begin, ...retrieve, ...generate, ...end]);
  expect(stream.chunks.filter((chunk) => chunk.type === "source-document")).toEqual([
    {
      type: "source-document",
      sourceId: expect.any(String),
      mediaType: "text/markdown",
      title: "Zebras",
      filename: "zebras.md",
      providerMetadata: {
        retrieval: {
          ordinal: 1,
          score: expect.any(Number),
          text: expect.stringContaining("like a fingerprint"),
          documentId: document.id,
          chunkId: expect.any(String),
          metadata: expect.any(Object),
        },
      },
    },
  ]);
  expect(stream.chunks[4]).toEqual({
    type: "data-status",
    id: "retrieve",
    data: { stage: "retrieve", label: "Searching documents…", state: "done", detail: "1 source from 1 document" },
  });
  const metadata = stream.chunks.at(-3) as Extract<TurnChunk, { type: "message-metadata" }>;
  expect(metadata.messageMetadata).toMatchObject({ confidence: expect.any(Number), groundedness: expect.any(Number) });

  const without = [
    { searchMode: "none" },
    { searchMode: "selected", documentIds: [] },
    { documentIds: ["01940000-0000-7000-8000-000000000001"] },
  ];
  for (const options of without) {
    const skipped = await cluster.send(`Which stripes does a zebra have? ${key}`, options, { user });
    expect(await skipped.ended).toBe("terminal");
    expect(outline(skipped.chunks)).toEqual([...begin, ...generate, ...end]);
  }
});

test("sends uncompressed bytes and streaming headers, even to a client that accepts gzip", async () => {
  const key = newKey();
  const nasty = 'A \r\n\r\nB \u2028\u2029 data: x\n\nid: 7\n\n[DONE] \u0000 \ufeff "日本" 🌊\t:';
  cluster.provider.on(key, [{ text: nasty, piece: 1 }, { finish: "stop" }]);
  const chatId = `chat_${key}_-A`;
  const stream = await cluster.send(key, {
    chatId,
    headers: { "accept-encoding": "gzip, br", connection: "keep-alive" },
  });
  expect(await stream.ended).toBe("terminal");
  expect(stream.status).toBe(200);
  expect(stream.headers).toMatchObject({
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-store, no-transform",
    connection: "keep-alive",
    "x-accel-buffering": "no",
    "x-vercel-ai-ui-message-stream": "v1",
    "x-turn-id": expect.stringMatching(/^[0-9a-f-]{36}$/),
    "x-chat-id": chatId,
  });
  expect(stream.headers).not.toHaveProperty("content-encoding");
  expect(stream.headers).not.toHaveProperty("content-length");

  const raw = rawOf(stream);
  expect(raw.slice(0, opening.length)).toBe(opening);
  expect(raw.match(/retry:/g)).toHaveLength(1);
  const blocks = blocksOf(raw);
  const turnId = header(stream, "x-turn-id");
  expect(blocks.at(-1)).toBe("data: [DONE]\n\n");
  blocks.slice(0, -1).forEach((block, index) => {
    expect(block).toMatch(/^data: \{[^\n\r]*\}\nid: [A-Za-z0-9._-]{1,128}\n\n$/);
    expect(idOf(block)).toBe(`${turnId}.${index + 1}`);
  });
  expect(stream.text).toBe(nasty);
  expect(textOf(await cluster.answer(chatId))).toBe(nasty);
});

test("I5: headers and heartbeats arrive before the provider responds", async () => {
  const key = newKey();
  cluster.provider.on(key, [{ gate: key }, { text: "Late." }, { finish: "stop" }]);
  const stream = await cluster.send(key);
  await stream.until(({ comments }) => comments[0]?.text === "open");
  await cluster.provider.reached(key);
  await stream.until(({ comments }) => comments.filter(({ text }) => text === "heartbeat").length >= 3);
  expect(stream.text).toBe("");
  cluster.provider.open(key);
  expect(await stream.ended).toBe("terminal");
  expect(stream.text).toBe("Late.");
  expect(rawOf(stream)).toMatch(/^: open\nretry: 1000\ndata: /);
  expect(rawOf(stream)).toMatch(/\n\n(: heartbeat\n){3,}data: /);
});

test("I1: a chunk is sent only after its transaction commits", async () => {
  const key = newKey();
  cluster.provider.on(key, [
    { text: "Before." },
    { gate: key },
    { text: " After." },
    { gate: `${key} end` },
    { finish: "stop" },
  ]);
  const stream = await cluster.send(key);
  await stream.until(({ text }) => text === "Before.");
  const framesBefore = stream.frames.length;
  const commentsBefore = stream.comments.length;
  const locked = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  // Readers may proceed, writers wait.
  const transaction = cluster.sql.begin(async (sql) => {
    await sql`lock table turn_chunks in share row exclusive mode`;
    locked.resolve();
    await release.promise;
  });
  await locked.promise;
  cluster.provider.open(key);
  await cluster.provider.reached(`${key} end`);
  cluster.provider.open(`${key} end`);
  const request = await cluster.provider.request(key);
  expect(await request.closed).toBe("server");
  await stream.until(({ comments }) => comments.length >= commentsBefore + 4);
  expect(stream.frames).toHaveLength(framesBefore);
  release.resolve();
  await transaction;
  expect(await stream.ended).toBe("terminal");
  expect(stream.text).toBe("Before. After.");
});

test("a turn completes after its only reader disconnects", async () => {
  const key = newKey();
  cluster.provider.on(key, [{ text: "Half" }, { gate: key }, { text: " and half." }, { finish: "stop" }]);
  const stream = await cluster.send(key);
  await stream.until(({ text }) => text === "Half");
  stream.close();
  cluster.provider.open(key);
  const request = await cluster.provider.request(key);
  expect(await request.closed).toBe("server");
  await expect
    .poll(async () => (await cluster.turn(header(stream, "x-turn-id"))).status, { interval: 20, timeout: 10_000 })
    .toBe("complete");
  expect(textOf(await cluster.answer(header(stream, "x-chat-id")))).toBe("Half and half.");
});

test("I13: a disconnecting reader does not affect the other", async () => {
  const key = newKey();
  cluster.provider.on(key, [{ text: "Half" }, { gate: key }, { text: " and half." }, { finish: "stop" }]);
  const first = await cluster.send(key);
  await first.until(({ text }) => text === "Half");
  const second = await cluster.follow(header(first, "x-turn-id"));
  await second.until(({ text }) => text === "Half");
  first.close();
  const third = await cluster.follow(header(first, "x-turn-id"));
  cluster.provider.open(key);
  expect(await second.ended).toBe("terminal");
  expect(await third.ended).toBe("terminal");
  expect(blocksOf(rawOf(second)).join("")).toBe(blocksOf(rawOf(third)).join(""));
  expect(second.text).toBe("Half and half.");
  const request = await cluster.provider.request(key);
  expect(request.closedBy).toBe("server");
});
