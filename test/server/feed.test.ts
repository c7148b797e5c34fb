// The feed of a chat (docs/protocol.md §5): every device with the chat open learns of its turns, on
// any server, and costs the database nothing while idle (docs/reliability.md I14, I17, I20).
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { startQueryCounter } from "@/test/chaos/query-counter";
import { startServer, type TestServer, type TestUser } from "@/test/server";
import { type EventStream, openStream } from "@/test/sse";
import { underLoad } from "@/test/under-load";
import { gateOf, header, newKey, rawOf, testCluster } from "./cluster";

const cluster = testCluster({ servers: 2 });

type News = { type: "turn"; turnId: string; status: string };

async function newChat(user = cluster.user): Promise<string> {
  return (await cluster.api<{ id: string }>("POST", "/api/chats", { body: {}, user })).body.id;
}

function feed(chatId: string, server: TestServer = cluster.b, user: TestUser = cluster.user): Promise<EventStream> {
  return openStream(`${server.url}/api/chats/${chatId}/events`, { token: user.token, kind: "dialect" });
}

const newsOf = ({ frames }: EventStream) => frames.map(({ data }) => JSON.parse(data) as News);
const statuses = (stream: EventStream) => newsOf(stream).map(({ status }) => status);

/** A turn that has said "One" and waits at gate 0 of the key. */
async function runningTurn(chatId: string, server = cluster.a) {
  const sentAtMs = performance.now();
  return { ...(await cluster.runningTurn(["One"], 1, { chatId, server })), sentAtMs };
}

test("I14: a feed on the other server reports the start and end of each turn within a second", async () => {
  const chatId = await newChat();
  const watching = await feed(chatId);
  expect(watching.status).toBe(200);
  expect(watching.headers).toMatchObject({
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-store, no-transform",
    "x-accel-buffering": "no",
    "x-chat-id": chatId,
  });
  await watching.until(({ comments }) => comments.length === 1);
  expect(rawOf(watching)).toBe(": open\n");

  const { stream, key, turnId, sentAtMs } = await runningTurn(chatId);
  await watching.until(({ frames }) => frames.length === 1);
  expect((watching.frames[0]?.atMs ?? Number.NaN) - sentAtMs).toBeLessThan(underLoad(1_000));
  cluster.provider.open(gateOf(key, 0));
  await stream.ended;
  const endedAtMs = performance.now();
  await watching.until(({ frames }) => frames.length === 2);
  expect((watching.frames[1]?.atMs ?? Number.NaN) - endedAtMs).toBeLessThan(underLoad(1_000));
  expect(newsOf(watching)).toEqual([
    { type: "turn", turnId, status: "running" },
    { type: "turn", turnId, status: "complete" },
  ]);
  // Nothing to resume: a new feed begins with the current state.
  expect(watching.frames.map(({ id }) => id)).toEqual([undefined, undefined]);
  const later = await feed(chatId, cluster.a);
  await later.until(({ frames }) => frames.length === 1);
  expect(newsOf(later)).toEqual([{ type: "turn", turnId, status: "complete" }]);
  for (const each of [watching, later]) each.close();
});

test("a stop is reported as a stop, and closed feeds receive nothing", async () => {
  const chatId = await newChat();
  const [stays, leaves] = await Promise.all([feed(chatId), feed(chatId)]);
  const { stream, turnId } = await runningTurn(chatId);
  for (const each of [stays, leaves]) await each.until(({ frames }) => frames.length === 1);
  leaves.close();
  await cluster.api("POST", `/api/chat/${chatId}/stop`, { server: cluster.b, body: {} });
  await stream.ended;
  await stays.until(({ frames }) => frames.length === 2);
  expect(newsOf(stays)[1]).toEqual({ type: "turn", turnId, status: "stopped" });
  expect(statuses(leaves)).toEqual(["running"]);
  stays.close();
});

test("I20: a feed reports nothing from another user's chat with the same id", async () => {
  const chatId = randomUUID();
  const stranger = await cluster.guest();
  expect((await feed(chatId, cluster.b, stranger)).status).toBe(404);
  const { stream, key } = await runningTurn(chatId);
  expect((await feed(chatId, cluster.b, stranger)).status).toBe(404);
  await cluster.api("POST", "/api/chats", { body: { id: chatId }, user: stranger });
  const theirs = await feed(chatId, cluster.b, stranger);
  const ours = await feed(chatId);
  await ours.until(({ frames }) => frames.length === 1);
  cluster.provider.open(gateOf(key, 0));
  await stream.ended;
  await ours.until(({ frames }) => frames.length === 2);
  const own = await cluster.send(newKey(), { chatId }, { user: stranger });
  await own.ended;
  await theirs.until((stream) => statuses(stream).at(-1) === "complete");
  expect(new Set(newsOf(theirs).map(({ turnId }) => turnId))).toEqual(new Set([header(own, "x-turn-id")]));
  for (const each of [ours, theirs]) each.close();
});

test("deleting a chat ends its feeds", async () => {
  const chatId = await newChat();
  const { stream } = await runningTurn(chatId);
  const watching = await feed(chatId);
  await watching.until(({ frames }) => frames.length === 1);
  await cluster.api("DELETE", `/api/chats/${chatId}`);
  expect(await watching.ended).toBe("eof");
  expect((await feed(chatId)).status).toBe(404);
  await stream.ended;
});

test("I17: a draining server ends its feeds and refuses new ones; another server keeps reporting", async () => {
  const server = await cluster.start({ env: { DRAIN_MS: "10000" } });
  const chatId = await newChat();
  const { stream, key, turnId } = await runningTurn(chatId, server);
  const watching = await feed(chatId, server);
  await watching.until(({ frames }) => frames.length === 1);
  const exit = server.stop();
  expect(await watching.ended).toBe("eof");
  const refused = await feed(chatId, server);
  expect([refused.status, Number(refused.headers["retry-after"])]).toEqual([503, 2]);
  const moved = await feed(chatId);
  cluster.provider.open(gateOf(key, 0));
  await moved.until((stream) => statuses(stream).at(-1) === "complete");
  expect(newsOf(moved).at(-1)?.turnId).toBe(turnId);
  expect(await exit).toBe(0);
  expect(await stream.ended).toBe("reset");
  moved.close();
});

test("I14: two hundred feeds cost no more queries than one, even when events occur", async () => {
  const windowMs = 2_000;
  const queries = await startQueryCounter(cluster.databaseUrl);
  const server = await startServer({ databaseUrl: queries.url, env: { MODELS: "local" } });
  const chatId = await newChat();
  const during = async (work: () => Promise<unknown>) => {
    const before = queries.count();
    await work();
    return queries.count() - before;
  };

  const feeds = [await feed(chatId, server)];
  const alone = await during(() => sleep(windowMs));
  feeds.push(...(await Promise.all(Array.from({ length: 199 }, () => feed(chatId, server)))));
  const together = await during(() => sleep(windowMs));
  const duringTurn = await during(async () => {
    const { stream, key } = await runningTurn(chatId);
    cluster.provider.open(gateOf(key, 0));
    await stream.ended;
    for (const each of feeds) await each.until((stream) => statuses(stream).at(-1) === "complete");
  });
  console.log(
    `statements: ${alone} in ${windowMs} ms with one feed, ${together} with 200, ${duringTurn} for a turn's two events`,
  );
  // A server's timers may add a query or two to a window; one per feed would be far more.
  expect(together).toBeLessThan(alone + 10);
  expect(duringTurn).toBeLessThan(alone + 20);

  for (const each of feeds) each.close();
  await server.kill("SIGKILL");
  await queries.close();
});
