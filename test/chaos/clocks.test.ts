// Two servers of one database with clocks a day or two apart, and clocks that jump while turns run
// (libfaketime). Only the database's clock may decide who holds a lease, what is old and what has
// expired.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { requirePrograms } from "@/scripts/debian";
import { Browser } from "@/test/server/browser";
import { gated, gateOf, header, newKey, outline, type TestServer, testCluster, textOf } from "@/test/server/cluster";
import type { EventStream } from "@/test/sse";
import { underLoad } from "@/test/under-load";
import { countCases, sized } from "./trial";

const leaseMs = 1_000;
const cluster = testCluster({ servers: 0, env: { LEASE_MS: String(leaseMs), HEARTBEAT_MS: "250" } });
const folder = mkdtempSync(path.join(tmpdir(), "rivulet-clocks-"));
const tokens = ["One", " two", " three"];
const day = 86_400;

/** Seconds this server's clock is ahead of the database. The server picks it up within a second. */
const setClock = (name: "a" | "b", seconds: number) =>
  writeFileSync(path.join(folder, name), `${seconds < 0 ? "" : "+"}${seconds}\n`);

async function startServer(name: "a" | "b", port?: number): Promise<TestServer> {
  return cluster.start({
    port,
    env: {
      // The preload that faketime sets for its commands.
      LD_PRELOAD: execFileSync("faketime", ["-f", "+0", "printenv", "LD_PRELOAD"], { encoding: "utf8" }).trim(),
      FAKETIME_TIMESTAMP_FILE: path.join(folder, name),
      FAKETIME_CACHE_DURATION: "1",
      // As on a machine whose clock is set: only the time of day changes.
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
    },
  });
}

/** From a response's `Date` header. */
async function aheadBySeconds(server: TestServer): Promise<number> {
  const { headers } = await fetch(`${server.url}/api/health`);
  return Math.round((Date.parse(headers.get("date") as string) - Date.now()) / 1_000);
}

async function clockIs(server: TestServer, seconds: number): Promise<void> {
  while (Math.abs((await aheadBySeconds(server)) - seconds) > 5) await delay(50);
}

beforeAll(async () => {
  requirePrograms("faketime");
  setClock("a", day);
  setClock("b", -day);
  [cluster.a, cluster.b] = await Promise.all([startServer("a"), startServer("b")]);
  cluster.user = await cluster.guest();
  for (const server of [cluster.a, cluster.b]) await (await cluster.send(newKey(), {}, { server })).ended;
}, 300_000);
afterAll(() => rmSync(folder, { recursive: true }));

type Live = { key: string; stream: EventStream; reader: EventStream; turnId: string; chatId: string };

/** A turn on `server` that pauses after its second token, followed on the other server too. */
async function runningTurn(server: TestServer, chatId?: string): Promise<Live> {
  const key = newKey();
  cluster.provider.on(key, gated(key, tokens));
  const stream = await cluster.send(key, { chatId }, { server });
  const turnId = header(stream, "x-turn-id");
  const reader = await cluster.follow(turnId, { server: server === cluster.a ? cluster.b : cluster.a });
  cluster.provider.open(gateOf(key, 0));
  for (const follower of [stream, reader]) await follower.until(({ text }) => text === "One two");
  return { key, stream, reader, turnId, chatId: header(stream, "x-chat-id") };
}

async function finish({ key, stream, reader, turnId, chatId }: Live, server: TestServer): Promise<void> {
  for (const index of tokens.keys()) cluster.provider.open(gateOf(key, index));
  for (const follower of [stream, reader]) {
    expect(await follower.ended).toBe("terminal");
    expect([follower.text, outline(follower.chunks).at(-1)]).toEqual([tokens.join(""), "finish"]);
  }
  const [turn] = await cluster.sql`select epoch, state from turns where id = ${turnId}`;
  // No takeover happened.
  expect(turn).toEqual({ epoch: 1, state: "complete" });
  expect(textOf(await cluster.answer(chatId, { server }))).toBe(tokens.join(""));
}

const servers = () =>
  [
    ["a", cluster.a, cluster.b],
    ["b", cluster.b, cluster.a],
  ] as const;

test("I16 I10: with clocks two days apart, no lease is taken over during a long pause", async (context) => {
  expect(await Promise.all([cluster.a, cluster.b].map(aheadBySeconds))).toEqual([
    expect.closeTo(day, -1),
    expect.closeTo(-day, -1),
  ]);
  const turns = await Promise.all(servers().map(([, server]) => runningTurn(server)));
  await delay(sized(2, 4) * leaseMs);
  for (const [index, turn] of turns.entries()) await finish(turn, index === 0 ? cluster.b : cluster.a);
  countCases(context, turns.length);
});

test("I16 I11 I12: with skewed clocks, either server stops the other's turn within a second", async (context) => {
  for (const [, owner, other] of servers()) {
    const { key, stream, reader, turnId } = await runningTurn(owner);
    const request = await cluster.provider.request(key);
    const askedAtMs = performance.now();
    const answer = await cluster.api("DELETE", `/api/turns/${turnId}`, { server: other });
    expect(await request.closed).toBe("client");
    expect(performance.now() - askedAtMs).toBeLessThan(underLoad(1_000));
    expect(answer.body).toEqual({ turnId, status: "stopped" });
    for (const follower of [stream, reader]) {
      expect(await follower.ended).toBe("terminal");
      expect([follower.text, outline(follower.chunks).at(-1)]).toEqual(["One two", "abort"]);
    }
  }
  countCases(context, 2);
});

test("I16 I5: a killed owner is detected in time by servers whose clocks are ahead or behind", async (context) => {
  for (const [name, owner, other] of servers().slice(sized(1, 0))) {
    const { stream, reader, turnId } = await runningTurn(owner);
    await owner.kill("SIGKILL");
    const killedAtMs = performance.now();
    expect(await reader.ended).toBe("terminal");
    expect(performance.now() - killedAtMs).toBeLessThan(underLoad(leaseMs + 2_000));
    expect(await stream.ended).toBe("reset");
    expect(reader.text).toBe("One two");
    expect(await cluster.turn(turnId, { server: other })).toMatchObject({ status: "interrupted" });
    cluster[name] = await startServer(name, owner.port);
  }
  countCases(context, sized(1, 2));
});

test("I16: tokens and sessions work across skewed clocks, and messages keep the order of their turns", async () => {
  for (const [, server, other] of servers()) {
    const user = await cluster.guest(server);
    const listed = await cluster.api("GET", "/api/chats", { user, server: other });
    expect(listed.status).toBe(200);
    const browser = new Browser(server);
    await browser.signIn("guest");
    const elsewhere = await fetch(`${other.url}/api/chats`, { headers: { cookie: browser.cookie } });
    expect(elsewhere.status).toBe(200);
  }
  const { chatId, ...first } = await runningTurn(cluster.a);
  await finish({ chatId, ...first }, cluster.b);
  const second = await runningTurn(cluster.b, chatId);
  await finish(second, cluster.a);
  const messages = await cluster.messages(chatId);
  expect(messages.map(({ role }) => role)).toEqual(["user", "assistant", "user", "assistant"]);
  expect(textOf(messages[0])).toBe(first.key);
  expect(textOf(messages[2])).toBe(second.key);
  const stopped = await cluster.api("POST", `/api/chat/${chatId}/stop`);
  expect(stopped.body).toEqual({ turnId: second.turnId, status: "complete" });
  const created = await cluster.sql`
    select abs(extract(epoch from now() - created_at)) < 60 as fresh from turns where chat_id = ${chatId}`;
  expect(created).toEqual([{ fresh: true }, { fresh: true }]);
});

test("I16 I3 I10: a clock that jumps a day forward and two back mid-turn changes nothing", async (context) => {
  const jumps = sized([2 * day, -day], [2 * day, -day, day]);
  for (const [name, owner, other] of servers().slice(sized(1, 0))) {
    const turn = await runningTurn(owner);
    for (const seconds of jumps) {
      setClock(name, seconds);
      await clockIs(owner, seconds);
      const beats = turn.stream.comments.length;
      await turn.stream.until(({ comments }) => comments.length > beats + 2);
    }
    await finish(turn, other);
  }
  countCases(context, sized(1, 2) * jumps.length);
});

// Each server prunes once a minute: only the full run has the time.
for (const name of sized([], ["I16: a server in the future prunes nothing that is fresh"]))
  test(name, async () => {
    const stream = await cluster.send(newKey());
    expect(await stream.ended).toBe("terminal");
    await delay(65_000);
    const kept = await cluster.sql`
      select count(*)::int as chunks from turn_chunks where turn_id = ${header(stream, "x-turn-id")}`;
    expect(kept).toEqual([{ chunks: stream.chunks.length }]);
  });
