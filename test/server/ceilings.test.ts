// One user's ceilings over HTTP: what is refused, the messages, and what makes room again
// (docs/operations.md, Limits). Parallel additions: lib/services/quotas/ceilings.test.ts.
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import type { TestUser } from "@/test/server";
import { type EventStream, openStream } from "@/test/sse";
import { type Answer, gated, messageBody, newKey, readAnswer, testCluster } from "./cluster";

const cluster = testCluster({
  servers: 2,
  env: {
    MAX_OPEN_STREAMS: "4",
    MAX_CHATS: "3",
    MAX_ACCESS_TOKENS: "2",
    MAX_DOCUMENTS: "2",
    MAX_STORED_BYTES: "100000",
  },
});

type Refusal = { error: { code: string; message: string } };

function expectFull(answer: Answer<Refusal>, message: RegExp) {
  expect([answer.status, answer.body.error.code]).toEqual([413, "storage_full"]);
  expect(answer.body.error.message).toMatch(message);
}

function upload(user: TestUser, bytes: number) {
  const body = new FormData();
  body.set("file", new File(["word ".repeat(bytes / 5)], "a.txt"));
  const headers = { authorization: `Bearer ${user.token}` };
  return fetch(`${cluster.a.url}/api/documents`, { method: "POST", headers, body }).then(readAnswer<Refusal>);
}

test("streams and feeds: the fifth is 429 on either server; closing one frees a slot", async () => {
  const user = await cluster.guest();
  const key = newKey();
  cluster.provider.on(key, gated(key, ["Waits."]));
  const chatId = randomUUID();
  const answer = await cluster.send(key, { chatId }, { user });
  await answer.until(({ text }) => text === "Waits.");
  const feed = (server = cluster.a) =>
    openStream(`${server.url}/api/chats/${chatId}/events`, { token: user.token, kind: "dialect" });
  const feeds = [await feed(), await feed(), await feed()];
  expect(feeds.map(({ status }) => status)).toEqual([200, 200, 200]);

  for (const path of [`/api/chats/${chatId}/events`, `/api/chat/${chatId}/stream`]) {
    const refused = await cluster.api<Refusal>("GET", path, { user });
    expect([path, refused.status, refused.body.error.code]).toEqual([path, 429, "limit_reached"]);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
  }
  const inDialect = await cluster.api("GET", `/chat/${chatId}/stream`, { user });
  expect([inDialect.status, Number(inDialect.headers.get("retry-after")) > 0]).toEqual([429, true]);
  // Refused before anything was stored.
  const send = await cluster.api<Refusal>("POST", "/api/chat", { body: messageBody(newKey()), user });
  expect([send.status, send.body.error.code]).toEqual([429, "limit_reached"]);
  expect((await cluster.api<{ chats: object[] }>("GET", "/api/chats", { user })).body.chats).toHaveLength(1);
  // Other users have their own ceilings.
  expect((await cluster.api("POST", "/v1/chat/completions", { body: call() })).status).toBe(200);

  // The other server admits one without asking the database. That is one over the ceiling, so
  // another needs two to end.
  const elsewhere = await feed(cluster.b);
  expect([elsewhere.status, (await feed(cluster.b)).status]).toEqual([200, 429]);
  for (const stream of feeds.splice(0, 2)) stream.close();
  const again = await untilAdmitted(() => feed(cluster.b));
  expect([(await feed(cluster.b)).status, (await feed()).status]).toEqual([429, 429]);
  again.close();
  const here = await untilAdmitted(feed);
  for (const stream of [...feeds, elsewhere, here, answer]) stream.close();
});

function call() {
  return { model: "scripted", messages: [{ role: "user", content: "Hi" }] };
}

test("a server that shuts down frees its stream slots, so its readers can reconnect elsewhere", async () => {
  const server = await cluster.start();
  const user = await cluster.guest();
  const { id } = (await cluster.api<{ id: string }>("POST", "/api/chats", { body: {}, user })).body;
  const feed = () => openStream(`${server.url}/api/chats/${id}/events`, { token: user.token, kind: "dialect" });
  const feeds = [await feed(), await feed(), await feed()];
  const counted = async () =>
    (await cluster.sql`select streams from open_streams where user_id = ${user.userId}`).map(({ streams }) => streams);
  expect([feeds.map(({ status }) => status), await counted()]).toEqual([[200, 200, 200], [3]]);
  expect([await server.stop(), await counted()]).toEqual([0, []]);
});

async function untilAdmitted(open: () => Promise<EventStream>): Promise<EventStream> {
  let stream = await open();
  await expect
    .poll(async () => {
      if (stream.status !== 200) stream = await open();
      return stream.status;
    })
    .toBe(200);
  return stream;
}

test("chats: the fourth is 413 on either server; deleting one frees a slot", async () => {
  const user = await cluster.guest();
  const create = (server = cluster.a) =>
    cluster.api<Refusal & { id: string }>("POST", "/api/chats", { body: {}, user, server });
  const first = await create();
  for (const server of [cluster.b, cluster.a]) expect((await create(server)).status).toBe(201);
  for (const server of [cluster.b, cluster.a])
    expectFull(await create(server), /^You have 3 chats, .*delete a chat you no longer need, then try again\.$/);
  expect((await cluster.api("DELETE", `/api/chats/${first.body.id}`, { user })).status).toBe(204);
  expect((await create()).status).toBe(201);
});

test("tokens: the third is 413; revoking one frees a slot", async () => {
  const user = await cluster.guest();
  const create = () => cluster.api<Refusal & { id: string }>("POST", "/api/tokens", { body: {}, user });
  // The guest's own token counts too.
  const second = await create();
  expect(second.status).toBe(201);
  expectFull(await create(), /^You have 2 tokens, .*revoke one you no longer use, then try again\.$/);
  expect((await cluster.api("DELETE", `/api/tokens/${second.body.id}`, { user })).status).toBe(204);
  expect((await create()).status).toBe(201);
});

test("documents and bytes over the limit are 413 and store nothing", async () => {
  const user = await cluster.guest();
  expect((await upload(user, 60_000)).status).toBe(201);
  expectFull(await upload(user, 60_000), /more than 100000 bytes, .*delete chats or documents/);
  expect((await upload(user, 30_000)).status).toBe(201);
  expectFull(await upload(user, 100), /^You have 2 documents, .*delete one you no longer need/);
  const { documents } = (await cluster.api<{ documents: object[] }>("GET", "/api/documents", { user })).body;
  expect(documents).toHaveLength(2);
});
