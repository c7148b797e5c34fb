// Missing notifications, and the content of those that arrive (docs/reliability.md I14, I15): a
// LISTEN connection that dies, one that goes silent, a pooler that delivers nothing.
import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { closePool, pool } from "@/db/client";
import { insertTurn as beginTurn } from "@/db/turns";
import { logger } from "@/lib/logger";
import { startQueryCounter } from "@/test/chaos/query-counter";
import { noCeilings, testDatabase } from "@/test/database";
import { type DatabaseProxy, startDatabaseProxy } from "@/test/database-proxy";
import { drain, expectEnded, insertTurn, readUntil, ScriptedTurn, textIn, until } from "@/test/log/scripted-turn";
import { underLoad } from "@/test/under-load";
import { PostgresLog } from "./postgres-log";

/** Lease renewals, which also discover stops, run every 10 s: anything faster came another way. */
const leaseMs = 30_000;
const url = testDatabase();
let proxy: DatabaseProxy;
const logs: PostgresLog[] = [];
const openLog = (timing = {}) => {
  const log = new PostgresLog(leaseMs, timing);
  logs.push(log);
  return log;
};

beforeEach(async () => {
  proxy = await startDatabaseProxy(url());
  process.env.DATABASE_URL = proxy.databaseUrl;
});
afterEach(async () => {
  vi.restoreAllMocks();
  proxy.loseNotifications(false);
  await Promise.all(logs.splice(0).map((log) => log.close(0)));
  await closePool();
  await proxy.close();
  process.env.DATABASE_URL = url();
});

const listenerPids = async (): Promise<number[]> => {
  const rows = await pool().sql`
    select pid from pg_stat_activity where datname = current_database() and query ilike 'listen %' order by pid`;
  return rows.map(({ pid }) => pid);
};

/** A silent turn, so that only a notification (or polling) can reveal the stop. */
async function expectQuickStop(log: PostgresLog, from: PostgresLog): Promise<void> {
  const silent = new ScriptedTurn(log, await insertTurn(leaseMs)).begin();
  await log.read(silent.turnId, 0).next();
  const startMs = performance.now();
  expect(await from.requestStop(silent.turnId)).toBe(true);
  await until(() => silent.writer.signal.aborted);
  expect(performance.now() - startMs).toBeLessThan(leaseMs / 4);
  expect(await silent.end("stopped")).toBe("stored");
}

const deaf = expect.stringContaining("notifications of the database do not arrive");

test("I15: reconnects after a LISTEN connection dies, and misses nothing", async () => {
  const [log, other] = [openLog(), openLog()];
  const turn = new ScriptedTurn(log, await insertTurn(leaseMs)).begin();
  const remote = drain(other.read(turn.turnId, 0));
  await until(() => log.receivesNotifications && other.receivesNotifications);
  const pids = await listenerPids();
  for (let i = 0; i < 20; i++) {
    if (i === 5) await pool().sql`select pg_terminate_backend(pid) from unnest(${pids}::int[]) as pid`;
    await turn.say(`${i} `);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(await turn.end()).toBe("stored");
  expect(await remote).toEqual(await expectEnded(turn.turnId, "complete"));
  await until(async () => (await listenerPids()).filter((pid) => !pids.includes(pid)).length === 2);
  await expectQuickStop(log, other);
});

test("replaces a silent LISTEN connection without reporting an outage", async () => {
  const warn = vi.spyOn(logger, "warn");
  const [log, other] = [openLog({ listenCheckMs: 100 }), openLog({ listenCheckMs: 100 })];
  await until(() => log.receivesNotifications && other.receivesNotifications);
  const pids = await listenerPids();
  proxy.muteListeners();
  await until(async () => (await listenerPids()).filter((pid) => !pids.includes(pid)).length === 2);
  await expectQuickStop(log, other);
  expect(warn).not.toHaveBeenCalledWith(deaf);
});

test("closing the log ends its LISTEN connection", async () => {
  const log = openLog();
  await until(() => log.receivesNotifications);
  await until(async () => (await listenerPids()).length === 1);
  await log.close(0);
  await until(async () => (await listenerPids()).length === 0);
});

test("I15: without notifications: logs it once, serves readers, stops and watched chats by polling; logs their return", async () => {
  const warn = vi.spyOn(logger, "warn");
  const info = vi.spyOn(logger, "info");
  proxy.loseNotifications(true);
  const [log, other] = [openLog({ listenCheckMs: 100 }), openLog({ listenCheckMs: 100 })];
  await until(() => warn.mock.calls.length >= 2);

  const turn = new ScriptedTurn(log, await insertTurn(leaseMs)).begin();
  const watched = watchTurn(other, await chatOf(turn.turnId));
  const remote = other.read(turn.turnId, 0);
  await readUntil(remote, (all) => all.length === 5);
  const delaysMs: number[] = [];
  for (let i = 0; i < 5; i++) {
    const saidMs = performance.now();
    turn.say(`${i} `);
    await readUntil(remote, (all) => textIn(all) === `${i} `);
    delaysMs.push(performance.now() - saidMs);
  }
  // Every 250 ms instead of every second.
  expect(Math.min(...delaysMs)).toBeLessThan(underLoad(400));
  console.info(`without notifications a chunk takes up to ${Math.round(Math.max(...delaysMs))} ms`);
  await expectQuickStop(log, other);
  await until(() => watched.count > 0);
  const before = watched.count;
  expect(await turn.end()).toBe("stored");
  await until(() => watched.count > before);

  // It keeps polling, but does not keep warning.
  expect(warn.mock.calls).toEqual([[deaf], [deaf]]);
  proxy.loseNotifications(false);
  await until(() => info.mock.calls.flat().filter((text) => String(text).includes("arrive again")).length === 2);
  expect(warn.mock.calls).toHaveLength(2);
});

describe("watching a chat", () => {
  test("reports a turn's start and end on any server to all watchers of the chat and to no others", async () => {
    const [log, other] = [openLog(), openLog()];
    await until(() => log.receivesNotifications && other.receivesNotifications);
    const turnId = await insertTurn(leaseMs);
    const chat = await chatOf(turnId);
    const here = [watchTurn(log, chat), watchTurn(log, chat), watchTurn(other, chat)];
    const left = watchTurn(other, chat);
    left.stop();
    const strangers = [
      left,
      watchTurn(other, { ...chat, chatId: `${chat.chatId}x` }),
      watchTurn(other, { ...chat, userId: randomUUID() }),
    ];
    const counts = () => here.map(({ count }) => count);

    const turn = new ScriptedTurn(log, turnId).begin();
    turn.say("chunks are no news");
    await readUntil(other.read(turnId, 0), (all) => textIn(all) !== "");
    expect(counts()).toEqual([0, 0, 0]);
    expect(await turn.end()).toBe("stored");
    await until(() => counts().every((count) => count === 1));

    const next = { ...chat, id: randomUUID(), userMessageId: "q", messageId: "a", clientKey: "k", request: {} };
    const refused = pool().sql.begin(async (sql) => {
      await beginTurn(sql, next, {}, [], noCeilings, leaseMs);
      throw new Error("rolled back");
    });
    await expect(refused).rejects.toThrow("rolled back");
    expect(await beginTurn(pool().sql, next, {}, [], noCeilings, leaseMs)).toMatchObject({
      id: next.id,
      state: "running",
      epoch: 1,
    });
    await until(() => counts().every((count) => count === 2));
    expect(strangers.map(({ count }) => count)).toEqual([0, 0, 0]);
  });

  test("I15: asks every watcher to check again after the LISTEN connection was lost", async () => {
    const log = openLog();
    await until(() => log.receivesNotifications);
    const chats = [await chatOf(await insertTurn(leaseMs)), await chatOf(await insertTurn(leaseMs))];
    const watches = chats.map((chat) => watchTurn(log, chat));
    await pool().sql`select pg_terminate_backend(pid) from unnest(${await listenerPids()}::int[]) as pid`;
    await until(() => watches.every(({ count }) => count > 0));
  });

  test("I14: a thousand watchers cost no queries, and without notifications no more than one poll a second", async () => {
    const counter = await startQueryCounter(proxy.databaseUrl);
    process.env.DATABASE_URL = counter.url;
    await closePool();
    const log = openLog();
    await until(() => log.receivesNotifications);
    const queriesIn = async (ms: number) => {
      const before = counter.count();
      await new Promise((resolve) => setTimeout(resolve, ms));
      return counter.count() - before;
    };
    const alone = await queriesIn(2_000);
    const userId = randomUUID();
    const stops = Array.from({ length: 1_000 }, (_, index) => log.watchChat(userId, `chat ${index}`, () => {}));
    const watched = await queriesIn(2_000);
    // The reaper's round may fall on either side.
    expect(watched).toBeLessThanOrEqual(alone + 1);
    console.info(`queries in two seconds: ${alone} without watchers, ${watched} with a thousand`);

    proxy.loseNotifications(true);
    const unheard = openLog();
    for (let index = 0; index < 1_000; index++) unheard.watchChat(userId, `chat ${index}`, () => {});
    await queriesIn(1_000);
    // The reaper polls once a second, the watcher once a second for all chats, plus occasional
    // delivery checks.
    expect(await queriesIn(2_000)).toBeLessThanOrEqual(watched + 2 * 2 + 8);
    for (const stop of stops) stop();
    await closePool();
    await counter.close();
  });
});

type Watch = { count: number; stop(): void };

function watchTurn(log: PostgresLog, { userId, chatId }: { userId: string; chatId: string }): Watch {
  const watch: Watch = { count: 0, stop: () => {} };
  watch.stop = log.watchChat(userId, chatId, () => {
    watch.count += 1;
  });
  return watch;
}

async function chatOf(turnId: string): Promise<{ userId: string; chatId: string }> {
  const [row] = await pool().sql`select user_id as "userId", chat_id as "chatId" from turns where id = ${turnId}`;
  return row as { userId: string; chatId: string };
}
