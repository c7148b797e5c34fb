// The AI SDK's own client, unmodified: AbstractChat with DefaultChatTransport, and its schema over
// every chunk.
import { randomUUID } from "node:crypto";
import { DefaultChatTransport, uiMessageChunkSchema } from "ai";
import { expect, test } from "vitest";
import type { ChatMessage } from "@/lib/turn/chunks";
import { HeadlessChat } from "@/test/client/scripted-server";
import { gated, gateOf, header, newKey, shapes, testCluster, textOf } from "./cluster";

const cluster = testCluster({ env: { HEARTBEAT_MS: "200" } });

function open(id: string = randomUUID(), messages: ChatMessage[] = [], model?: string) {
  const transport = new DefaultChatTransport<ChatMessage>({
    api: `${cluster.a.url}/api/chat`,
    headers: { authorization: `Bearer ${cluster.user.token}` },
    body: model ? { model } : undefined,
  });
  return new HeadlessChat({ id, messages, transport });
}

async function checkSchema(chunks: unknown[]): Promise<void> {
  const schema = uiMessageChunkSchema();
  for (const chunk of chunks) expect(await schema.validate?.(chunk)).toMatchObject({ success: true });
}

const parts = (message: ChatMessage | undefined) => message?.parts;

test.each(shapes)("I18: send: the client's message equals the stored one, %s", async (_shape, model) => {
  const key = newKey();
  cluster.provider.on(key, [{ text: "Two" }, { text: " words." }, { finish: "stop" }]);
  const chat = open(undefined, undefined, model);
  await chat.sendMessage({ text: key });
  expect([chat.error, chat.status]).toEqual([undefined, "ready"]);
  const stored = await cluster.messages(chat.id);
  expect(stored.map(({ id }) => id)).toEqual(chat.messages.map(({ id }) => id));
  expect(stored[1]).toEqual(chat.lastMessage);
  expect(textOf(chat.lastMessage)).toBe("Two words.");
  await checkSchema(chat.seen);
  await chat.sendMessage({ text: "And again." });
  expect([chat.error, chat.messages.length]).toEqual([undefined, 4]);
  expect((await cluster.messages(chat.id)).map(textOf)).toEqual([key, "Two words.", "And again.", "Hello there."]);
});

test("I18: reload: another page resumes the running answer from its start and ends with the same message", async () => {
  const key = newKey();
  const tokens = ["One", " two", " three"];
  cluster.provider.on(key, gated(key, tokens));
  const first = open();
  const sent = first.sendMessage({ text: key });
  await expect.poll(() => textOf(first.lastMessage), { interval: 10, timeout: 10_000 }).toBe("One");
  cluster.provider.open(gateOf(key, 0));
  await expect.poll(() => textOf(first.lastMessage), { interval: 10, timeout: 10_000 }).toBe("One two");
  const page = open(first.id, await cluster.messages(first.id));
  expect(textOf(page.lastMessage)).toBe("One two");
  const resumed = page.resumeStream();
  await expect.poll(() => page.status, { interval: 10, timeout: 10_000 }).toBe("streaming");
  cluster.provider.open(gateOf(key, 1));
  cluster.provider.open(gateOf(key, 2));
  await Promise.all([sent, resumed]);
  expect([page.error, page.status]).toEqual([undefined, "ready"]);
  const stored = await cluster.messages(first.id);
  expect(page.messages).toHaveLength(2);
  expect(parts(page.lastMessage)).toEqual(parts(stored[1]));
  expect(parts(first.lastMessage)).toEqual(parts(stored[1]));
  await checkSchema(page.seen);
  const idle = open(first.id, stored);
  await idle.resumeStream();
  expect([idle.error, idle.seen, idle.messages]).toEqual([undefined, [], stored]);
});

test("regenerate: a new answer replaces the old one", async () => {
  const key = newKey();
  cluster.provider.on(key, [{ text: "First." }, { finish: "stop" }], [{ text: "Second." }, { finish: "stop" }]);
  const chat = open();
  await chat.sendMessage({ text: key });
  await chat.regenerate();
  expect([chat.error, chat.messages.length]).toEqual([undefined, 2]);
  expect(textOf(chat.lastMessage)).toBe("Second.");
  expect((await cluster.messages(chat.id)).at(-1)).toEqual(chat.lastMessage);
});

test("the client's stop only disconnects; POST stop ends the turn, and the client is ready again without an error", async () => {
  const key = newKey();
  cluster.provider.on(key, gated(key, ["One", " two"]));
  const chat = open();
  const sent = chat.sendMessage({ text: key });
  await expect.poll(() => textOf(chat.lastMessage), { interval: 10, timeout: 10_000 }).toBe("One");
  await chat.stop();
  await sent;
  expect(chat.status).toBe("ready");
  const request = await cluster.provider.request(key);
  const page = open(chat.id, await cluster.messages(chat.id));
  const resumed = page.resumeStream();
  await expect.poll(() => page.status, { interval: 10, timeout: 10_000 }).toBe("streaming");
  expect(request.closedBy).toBeUndefined();
  const stopped = await cluster.api("POST", `/api/chat/${chat.id}/stop`);
  expect(stopped.body).toMatchObject({ status: "stopped" });
  await resumed;
  expect([page.error, page.status, textOf(page.lastMessage)]).toEqual([undefined, "ready", "One"]);
  expect(await request.closed).toBe("client");
});

test("I6: every ending leaves a message that the client can hold: parts closed, the class in its metadata", async () => {
  const endings: [string, Parameters<typeof cluster.provider.on>[1], string][] = [
    ["early", [{ text: "Half" }], "interrupted"],
    ["broken", [{ text: "Half" }, { cut: true }], "failed"],
    ["refused", [{ answer: 401, body: {} }], "failed"],
  ];
  for (const [, model] of shapes) {
    for (const [name, script, status] of endings) {
      const key = newKey();
      cluster.provider.on(key, script);
      const chat = open(undefined, undefined, model);
      await chat.sendMessage({ text: key });
      expect([name, chat.status]).toEqual([name, "error"]);
      const { metadata } = chat.lastMessage as ChatMessage;
      expect([name, metadata?.status]).toEqual([name, status]);
      expect(chat.error?.message).toBe(metadata?.error?.message);
      for (const part of chat.lastMessage?.parts ?? []) expect(part).not.toMatchObject({ state: "streaming" });
      expect((await cluster.answer(chat.id)).parts).toEqual(chat.lastMessage?.parts);
      await checkSchema(chat.seen);
      await chat.regenerate();
      expect((await cluster.messages(chat.id)).length).toBe(2);
    }
  }
});

test("a second client in a busy chat gets an error saying so", async () => {
  const key = newKey();
  cluster.provider.on(key, gated(key, ["One"]));
  const stream = await cluster.send(key);
  await stream.until(({ text }) => text === "One");
  const chat = open(header(stream, "x-chat-id"));
  await chat.sendMessage({ text: "Me too." });
  expect(chat.status).toBe("error");
  expect(JSON.parse(chat.error?.message ?? "{}")).toMatchObject({
    error: { code: "turn_running", turnId: header(stream, "x-turn-id") },
  });
  cluster.provider.open(gateOf(key, 0));
  await stream.ended;
});
