// One send, one turn: docs/protocol.md §5, on two servers of one database.
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { type EventStream, openStream } from "@/test/sse";
import {
  eventBytesOf,
  gated,
  gateOf,
  header,
  messageBody,
  newKey,
  type TestUser,
  testCluster,
  textOf,
} from "./cluster";

const cluster = testCluster({ servers: 2 });

async function rows(user: TestUser, key: string) {
  const [counts] = await cluster.sql`
    select
      (select count(*)::int from turns where user_id = ${user.userId}) as turns,
      (select count(*)::int from messages where user_id = ${user.userId}) as messages,
      (select count(*)::int from chats where user_id = ${user.userId}) as chats`;
  return { ...counts, requests: cluster.requestsFor(key).length };
}

/** A turn whose provider waits at its first token, so that everything happens during the turn. */
const busyChat = (user: TestUser) => cluster.runningTurn(["Busy."], 1, { user });

test("I7: twenty identical concurrent sends on two servers: one turn, one request, twenty identical streams", async () => {
  const user = await cluster.guest();
  const key = newKey();
  cluster.provider.on(key, gated(key, ["Only", " once."]));
  const ids = { chatId: randomUUID(), messageId: randomUUID() };
  const streams = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      cluster.send(key, ids, { user, server: index % 2 ? cluster.b : cluster.a }),
    ),
  );
  expect(streams.map(({ status, body }) => `${status} ${body}`)).toEqual(Array(20).fill("200 "));
  expect(new Set(streams.map((stream) => header(stream, "x-turn-id"))).size).toBe(1);
  await Promise.all(streams.map((stream) => stream.until(({ text }) => text === "Only")));
  cluster.provider.open(gateOf(key, 0));
  cluster.provider.open(gateOf(key, 1));
  expect(new Set(await Promise.all(streams.map(({ ended }) => ended)))).toEqual(new Set(["terminal"]));
  expect(new Set(streams.map(eventBytesOf)).size).toBe(1);
  expect(streams[0]?.text).toBe("Only once.");
  expect(await rows(user, key)).toEqual({ turns: 1, messages: 2, chats: 1, requests: 1 });

  for (const server of [cluster.b, cluster.a]) {
    const later = await cluster.send(key, ids, { user, server });
    expect(await later.ended).toBe("terminal");
    expect(eventBytesOf(later)).toBe(eventBytesOf(streams[0] as EventStream));
  }
  expect(await rows(user, key)).toEqual({ turns: 1, messages: 2, chats: 1, requests: 1 });
});

test("I7: the Idempotency-Key header is the key if present, otherwise the message id", async () => {
  const user = await cluster.guest();
  const key = newKey();
  const chatId = randomUUID();
  const messageId = randomUUID();
  const headers = { "idempotency-key": `${key}:~!` };
  const first = await cluster.send(key, { chatId, messageId, headers }, { user });
  expect(await first.ended).toBe("terminal");
  const same = await cluster.send(key, { chatId, headers }, { user, server: cluster.b });
  expect(await same.ended).toBe("terminal");
  expect(header(same, "x-turn-id")).toBe(header(first, "x-turn-id"));
  const used = await cluster.send(key, { chatId, messageId }, { user });
  expect(used.status).toBe(400);
  expect(JSON.parse(used.body)).toMatchObject({
    error: { code: "bad_request", message: expect.stringMatching(/^message\.id: /) },
  });
  expect(await rows(user, key)).toEqual({ turns: 1, messages: 2, chats: 1, requests: 1 });
  const other = await cluster.send(key, { chatId, headers: { "idempotency-key": "another" } }, { user });
  expect(await other.ended).toBe("terminal");
  expect(await rows(user, key)).toEqual({ turns: 2, messages: 4, chats: 1, requests: 2 });
});

test("I7: a reused key with other content is 422 on both servers; equal content joins in any JSON key order", async () => {
  const user = await cluster.guest();
  const key = newKey();
  const ids = { chatId: randomUUID(), messageId: randomUUID() };
  const first = await cluster.send(key, ids, { user });
  expect(await first.ended).toBe("terminal");
  for (const server of [cluster.a, cluster.b]) {
    const edited = await cluster.send(`${key} edited`, ids, { user, server });
    expect(edited.status).toBe(422);
    expect(JSON.parse(edited.body)).toMatchObject({ error: { code: "key_reused", message: expect.any(String) } });
    const asked = await cluster.send(key, { ...ids, model: "local" }, { user, server });
    expect(asked.status).toBe(422);
  }
  const { message, id } = messageBody(key, ids);
  const headers = { "content-type": "application/json" };
  const reordered = await openStream(`${cluster.b.url}/api/chat`, {
    token: user.token,
    headers,
    body: { message, id },
  });
  expect(await reordered.ended).toBe("terminal");
  expect(header(reordered, "x-turn-id")).toBe(header(first, "x-turn-id"));

  const call = (body: object) =>
    cluster.api<{ id: string; error?: { code: string } }>("POST", "/v1/chat/completions", {
      user,
      headers: { "idempotency-key": `${key}-prompt` },
      body: { model: "openai:scripted", ...body },
    });
  const messages = [{ role: "user", content: `${key} as a prompt` }];
  expect((await call({ messages })).status).toBe(200);
  expect((await call({ messages })).status).toBe(200);
  expect((await call({ messages, temperature: 0 })).status).toBe(422);
  expect((await call({ messages: [{ role: "user", content: "Something else." }] })).status).toBe(422);
  expect(await rows(user, key)).toEqual({ turns: 2, messages: 4, chats: 2, requests: 2 });
});

test.each([
  ["a new chat", true],
  ["an existing chat", false],
])(
  "I7: two different concurrent sends in %s: one is answered, the other gets the running turn's id",
  async (_name, fresh) => {
    const user = await cluster.guest();
    const chatId = randomUUID();
    if (!fresh) await cluster.api("POST", "/api/chats", { user, body: { id: chatId } });
    for (let round = 0; round < 5; round++) {
      const key = newKey();
      cluster.provider.on(key, gated(key, ["Hello."]));
      const streams = await Promise.all(
        [cluster.a, cluster.b].map((server) => cluster.send(key, { chatId }, { user, server })),
      );
      const won = streams.find(({ status }) => status === 200) as EventStream;
      const lost = streams.find((stream) => stream !== won) as EventStream;
      expect(lost.status).toBe(409);
      expect(JSON.parse(lost.body)).toEqual({
        error: {
          code: "turn_running",
          message: expect.any(String),
          requestId: expect.any(String),
          turnId: header(won, "x-turn-id"),
        },
      });
      await cluster.walk(won, key, ["Hello."]);
      expect(await won.ended).toBe("terminal");
      expect(await rows(user, key)).toEqual({ turns: round + 1, messages: 2 * (round + 1), chats: 1, requests: 1 });
    }
  },
);

test("I7: a send to a busy chat is refused without a trace, and accepted after the answer", async () => {
  const user = await cluster.guest();
  const { key, stream, chatId, turnId } = await busyChat(user);
  const messageId = randomUUID();
  const refused = await cluster.send("Too early.", { chatId, messageId }, { user, server: cluster.b });
  expect([refused.status, JSON.parse(refused.body).error.turnId]).toEqual([409, turnId]);
  cluster.provider.open(gateOf(key, 0));
  await stream.ended;
  expect(await cluster.messages(chatId, { user })).toHaveLength(2);
  const again = await cluster.send("Too early.", { chatId, messageId }, { user, server: cluster.b });
  expect(await again.ended).toBe("terminal");
  expect((await cluster.messages(chatId, { user })).map(textOf)).toEqual([key, "Busy.", "Too early.", "Hello there."]);
});

test("I20: the same ids in another user's account are a separate turn", async () => {
  const [ann, bob] = [await cluster.guest(), await cluster.guest()];
  const ids = { chatId: randomUUID(), messageId: randomUUID() };
  const key = newKey();
  const hers = await cluster.send(`${key} Ann's`, ids, { user: ann });
  const his = await cluster.send(`${key} Bob's`, ids, { user: bob });
  expect([await hers.ended, await his.ended]).toEqual(["terminal", "terminal"]);
  expect(header(hers, "x-turn-id")).not.toBe(header(his, "x-turn-id"));
  expect(textOf((await cluster.messages(ids.chatId, { user: ann }))[0])).toBe(`${key} Ann's`);
  expect(textOf((await cluster.messages(ids.chatId, { user: bob }))[0])).toBe(`${key} Bob's`);
  expect(await rows(ann, key)).toMatchObject({ turns: 1, messages: 2, requests: 2 });
});

test("I8: the question and its turn are stored before the provider is called", async () => {
  const user = await cluster.guest();
  const key = newKey();
  cluster.provider.on(key, [{ gate: key }, { text: "Late." }, { finish: "stop" }]);
  const sent = cluster.send(key, {}, { user });
  await cluster.provider.request(key);
  expect(await rows(user, key)).toEqual({ turns: 1, messages: 2, chats: 1, requests: 1 });
  cluster.provider.open(key);
  expect(await (await sent).ended).toBe("terminal");
});

test("regenerate adds a sibling: one question, the new answer in view; the stored question is not duplicated", async () => {
  const user = await cluster.guest();
  const key = newKey();
  cluster.provider.on(key, [{ text: "First." }, { finish: "stop" }], [{ text: "Second." }, { finish: "stop" }]);
  const first = await cluster.send(key, {}, { user });
  await first.ended;
  const chatId = header(first, "x-chat-id");
  const answer = await cluster.answer(chatId, { user });
  const body = { id: chatId, trigger: "regenerate-message", messageId: answer.id };
  const again = await cluster.api("POST", "/api/chat", { user, body });
  expect(again.status).toBe(200);
  const messages = await cluster.messages(chatId, { user });
  expect(messages.map(textOf)).toEqual([key, "Second."]);
  expect(messages[1]?.id).not.toBe(answer.id);
  expect(await rows(user, key)).toEqual({ turns: 2, messages: 3, chats: 1, requests: 2 });
  const prompts = cluster.provider.requests.filter(({ prompt }) => prompt === key).map(({ body }) => body.input);
  expect(prompts[1]).toEqual(prompts[0]);
  const unknown = await cluster.api("POST", "/api/chat", { user, body: { ...body, messageId: randomUUID() } });
  expect(unknown.status).toBe(404);
});
