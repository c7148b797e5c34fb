// Turns whose owner died before storing any of the answer (docs/reliability.md I3, I4, I7, I10):
// handed to exactly one process that runs turns, which continues after what is stored.
import { afterEach, expect, test } from "vitest";
import { pool } from "@/db/client";
import { expireLeases } from "@/db/log";
import { sourceChunk, type TurnChunk } from "@/lib/turn/chunks";
import { testDatabase } from "@/test/database";
import {
  beginning,
  drain,
  expectEnded,
  insertTurn,
  insertTurns,
  ScriptedTurn,
  store,
  storedLog,
  storedTurn,
  until,
} from "@/test/log/scripted-turn";
import type { Orphan } from "./durable-log";
import { PostgresLog } from "./postgres-log";

testDatabase();
const leaseMs = 1_000;

const logs: PostgresLog[] = [];
const openLog = () => {
  const log = new PostgresLog(leaseMs);
  logs.push(log);
  return log;
};
afterEach(async () => {
  await Promise.all(logs.splice(0).map((log) => log.close(0)));
  // Running turns would be handed over in the next test.
  await pool().sql`delete from turns`;
});

const source = sourceChunk({
  sourceId: "s",
  mediaType: "text/plain",
  title: "t",
  filename: "t.txt",
  ordinal: 1,
  score: 1,
  text: "",
  documentId: "d",
  chunkId: "s",
  metadata: {},
});

/** What a process may have stored before it died, and whether that counts as part of an answer. */
function beginnings(turnId: string): { answered: boolean; chunks: TurnChunk[] }[] {
  const chunks = beginning(turnId);
  const [start, opened] = [chunks.slice(0, 1), chunks.slice(0, 2)];
  const retrieve = (state: "active" | "done"): TurnChunk => ({
    type: "data-status",
    id: "retrieve",
    data: { stage: "retrieve", label: "…", state },
  });
  const searched = [...opened, retrieve("active"), source, retrieve("done")];
  return [
    ...[[], start, opened, searched.slice(0, 3), searched].map((each) => ({ answered: false, chunks: each })),
    ...[3, 4, 5].map((length) => ({ answered: false, chunks: chunks.slice(0, length) })),
    // A new search might find other sources.
    { answered: true, chunks: searched.slice(0, 4) },
    { answered: true, chunks: [...chunks, { type: "text-delta", id: "t", delta: "x" }] },
  ];
}

test("I7 I10: an unanswered orphaned turn is taken over once; any other is ended", async () => {
  const turnIds = await insertTurns(beginnings("").length, 1);
  const cases = new Map(turnIds.map((turnId, index) => [turnId, beginnings(turnId)[index]]));
  for (const [turnId, { chunks = [] } = {}] of cases) await store(turnId, chunks);
  const answered = turnIds.filter((turnId) => cases.get(turnId)?.answered);
  const handed: Orphan[] = [];
  // Three of them race for every turn.
  for (const log of [openLog(), openLog(), openLog()])
    log.onOrphan((orphan) => {
      handed.push(orphan);
      log.open(orphan.turnId, orphan.epoch, orphan.stored);
    });
  await until(() => handed.length >= turnIds.length - answered.length);
  for (const turnId of answered) {
    await until(async () => (await storedTurn(turnId)).state !== "running");
    await expectEnded(turnId, "interrupted");
  }
  expect([...handed.map(({ turnId }) => turnId), ...answered].sort()).toEqual([...turnIds].sort());
  for (const { turnId, epoch, stored, chatId, messageId, request } of handed) {
    expect(stored.map(({ chunk }) => chunk)).toEqual(cases.get(turnId)?.chunks);
    expect({ epoch, chatId, messageId, request }).toEqual({
      epoch: 2,
      chatId: `chat-${turnId}`,
      messageId: `answer-${turnId}`,
      request: { model: "test" },
    });
    const [row] = await pool().sql`select lease_until > now() as live, state from turns where id = ${turnId}`;
    expect(row).toEqual({ live: true, state: "running" });
  }
});

test("I3 I10: the new owner appends, all readers see one log, and the old owner appends nothing", async () => {
  const [asleep, alive] = [openLog(), openLog()];
  const turnId = await insertTurn(leaseMs);
  const old = asleep.open(turnId, 1);
  const [opened, rest] = [beginning(turnId).slice(0, 2), beginning(turnId).slice(2)];
  for (const chunk of opened) old.append(chunk);
  await until(async () => (await storedLog(turnId)).length === opened.length);
  const readers = [asleep, alive].map((log) => drain(log.read(turnId, 0)));
  const { promise, resolve } = Promise.withResolvers<ScriptedTurn>();
  alive.onOrphan(({ epoch, stored }) => resolve(new ScriptedTurn(alive, turnId, epoch, stored)));
  // As if the old owner were suspended: its lease expires, however often it renews it.
  const expiring = until(async () => {
    await pool().sql`update turns set lease_until = now() - interval '1 second' where id = ${turnId} and epoch = 1`;
    return (await storedTurn(turnId)).epoch === 2;
  });
  const [turn] = await Promise.all([promise, expiring]);
  old.append({ type: "data-status", id: "generate", data: { stage: "generate", label: "zombie", state: "active" } });
  expect(await old.ended).toBe("lost");
  for (const chunk of rest) turn.append(chunk);
  turn.say("Answered.");
  expect(await turn.end()).toBe("stored");
  const logged = await expectEnded(turnId, "complete");
  expect(JSON.stringify(logged)).not.toContain("zombie");
  for (const read of await Promise.all(readers)) expect(read).toEqual(logged);
});

test("the kept beginning of a continued answer does not count as answered", async () => {
  const turnId = await insertTurn(1);
  const kept: TurnChunk[] = [...beginning(turnId), { type: "text-delta", id: "t", delta: "kept" }];
  const request = JSON.stringify({ model: "test", begunSeq: kept.length });
  await pool().sql`update turns set request = ${request}::text::json where id = ${turnId}`;
  await store(turnId, kept);
  const log = openLog();
  const { promise, resolve } = Promise.withResolvers<ScriptedTurn>();
  log.onOrphan(({ epoch, stored }) => resolve(new ScriptedTurn(log, turnId, epoch, stored)));
  const turn = await promise;
  turn.say(" and new");
  expect(await turn.end()).toBe("stored");
  const logged = await expectEnded(turnId, "complete");
  expect(logged.slice(0, kept.length).map(({ chunk }) => chunk)).toEqual(kept);
  expect((await storedTurn(turnId)).message.text).toBe("kept and new");
});

test("I4: a turn that crashes every owner is run three times, then ended", async () => {
  const log = openLog();
  const turnId = await insertTurn(1);
  const epochs: number[] = [];
  log.onOrphan(({ epoch }) => {
    epochs.push(epoch);
    // It dies immediately: nothing renews its lease.
    void pool().sql`update turns set lease_until = now() - interval '1 second' where id = ${turnId}`.execute();
  });
  await drain(log.read(turnId, 0));
  await expectEnded(turnId, "interrupted");
  // The first epoch was its original owner's.
  expect(epochs).toEqual([2, 3]);
});

test("I17: handovers do not count as crashes: the turn is run as often as needed", async () => {
  const log = openLog();
  const turnId = await insertTurn(1);
  const epochs: number[] = [];
  const answered = Promise.withResolvers<unknown>();
  log.onOrphan(({ epoch, stored }) => {
    epochs.push(epoch);
    if (epochs.length < 7) void expireLeases([{ turnId, epoch }]);
    else answered.resolve(new ScriptedTurn(log, turnId, epoch, stored).begin().end());
  });
  expect(await answered.promise).toBe("stored");
  expect(epochs).toEqual([2, 3, 4, 5, 6, 7, 8]);
  await expectEnded(turnId, "complete");
  // The first owner died.
  expect(await pool().sql`select crashes from turns where id = ${turnId}`).toEqual([{ crashes: 1 }]);
});

test("I11: an orphaned turn with a stop request is not run", async () => {
  const log = openLog();
  const turnId = await insertTurn(leaseMs);
  const handed: Orphan[] = [];
  log.onOrphan((orphan) => void handed.push(orphan));
  expect(await log.requestStop(turnId)).toBe(true);
  await drain(log.read(turnId, 0));
  await expectEnded(turnId, "stopped");
  expect(handed).toEqual([]);
});

test("I17: a process that is shutting down takes nothing over", async () => {
  const [leaving, staying] = [openLog(), openLog()];
  const handed: string[] = [];
  leaving.onOrphan(() => void handed.push("leaving"));
  leaving.releaseReaders();
  const { promise, resolve } = Promise.withResolvers<void>();
  staying.onOrphan(({ turnId, epoch, stored }) => {
    handed.push("staying");
    staying.open(turnId, epoch, stored);
    if (handed.length === 3) resolve();
  });
  await insertTurns(3, 1);
  await promise;
  expect(handed).toEqual(["staying", "staying", "staying"]);
});
