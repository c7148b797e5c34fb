// Turns whose owner died (RELIABILITY I2, I4, I5, I10): ended by whoever is left, once, with what was stored.
import { afterEach, expect, test } from "vitest";
import { pool } from "@/db/client";
import { pruneChunks } from "@/db/log";
import type { FinalState, TurnChunk } from "@/lib/turn/chunks";
import { endTurn, OpenParts } from "@/lib/turn/ending";
import { testDatabase } from "@/test/database";
import { PostgresLog } from "./postgres-log";
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
} from "./scripted-turn";

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
});

/** A turn that opens everything that can be open. */
function script(turnId: string): TurnChunk[] {
  const tool = { toolCallId: "c", toolName: "clock" };
  const chunks: TurnChunk[] = [
    ...beginning(turnId),
    { type: "text-delta", id: "t", delta: "one " },
    { type: "text-delta", id: "t", delta: "two" },
    { type: "text-end", id: "t" },
    { type: "reasoning-start", id: "r" },
    { type: "reasoning-delta", id: "r", delta: "hm" },
    { type: "tool-input-start", ...tool },
    { type: "tool-input-delta", toolCallId: "c", inputTextDelta: "{" },
    { type: "tool-input-available", ...tool, input: {} },
    { type: "tool-output-available", toolCallId: "c", output: "12:00" },
    { type: "reasoning-end", id: "r" },
  ];
  const open = new OpenParts();
  for (const chunk of chunks) open.see(chunk);
  // All but the terminal: with that the turn would have ended.
  return [...chunks, ...endTurn(open, { turnId, status: "complete" }).slice(0, -1)];
}

test("I2 I4 I5: an owner that died behind any chunk: one terminal, nothing open, the message is what was stored", async () => {
  const size = script("").length;
  const turnIds = await insertTurns(2 * (size + 1), 1);
  const state = (index: number): FinalState => (index % 2 === 0 ? "interrupted" : "stopped");
  const stored = turnIds.map((turnId, index) => script(turnId).slice(0, Math.floor(index / 2)));
  for (const [index, turnId] of turnIds.entries()) {
    await store(turnId, stored[index] as TurnChunk[]);
    if (state(index) === "stopped") await pool().sql`update turns set stop_requested_at = now() where id = ${turnId}`;
  }
  // Three of them race for every turn.
  const processes = [openLog(), openLog(), openLog()];
  const readers = turnIds.map((turnId, index) => drain((processes[index % 3] as PostgresLog).read(turnId, 0)));
  for (const [index, turnId] of turnIds.entries()) {
    const read = await readers[index];
    const logged = await expectEnded(turnId, state(index));
    expect(read).toEqual(logged);
    const prefix = stored[index] as TurnChunk[];
    expect(logged.slice(0, prefix.length).map(({ chunk }) => chunk)).toEqual(prefix);
    expect(logged[0]).toMatchObject({ chunk: { type: "start", messageId: `answer-${turnId}` } });
    const open = new OpenParts();
    for (const { chunk } of logged) open.see(chunk);
    expect(open.close()).toEqual([]);
    expect(await storedTurn(turnId)).toMatchObject({ epoch: 2 });
  }
});

test("I11: a stop of a turn whose owner is dead takes effect", async () => {
  const turnId = await insertTurn(leaseMs);
  await store(turnId, script(turnId).slice(0, 6));
  const log = openLog();
  expect(await log.requestStop(turnId)).toBe(true);
  expect((await drain(log.read(turnId, 0))).at(-1)).toMatchObject({ chunk: { type: "abort" } });
  await expectEnded(turnId, "stopped");
});

test("a turn that is written here is late, not dead", async () => {
  const log = openLog();
  const late = new ScriptedTurn(log, await insertTurn(leaseMs)).begin();
  const expire = (turnId: string, ago: string) =>
    pool().sql`update turns set lease_until = now() - ${ago}::interval where id = ${turnId}`;
  // The dead one expired later, so by the time it is ended the late one was looked at.
  const dead = await insertTurn(leaseMs);
  await expire(dead, "1 second");
  await until(async () => {
    await expire(late.turnId, "1 hour");
    return (await storedTurn(dead)).state !== "running";
  });
  late.say("alive");
  expect(await late.end()).toBe("stored");
  await expectEnded(late.turnId, "complete");
});

test("a turn that cannot be ended keeps no other from it", async () => {
  const [poisoned, dead] = await insertTurns(2, 1);
  const { sql } = pool();
  await sql.unsafe(`
    create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
    create trigger refuse before update on messages for each row when (old.turn_id = '${poisoned}') execute function refuse()`);
  await sql`update turns set lease_until = now() - interval '1 hour' where id = ${poisoned as string}`;
  const log = openLog();
  await drain(log.read(dead as string, 0));
  await expectEnded(dead as string, "interrupted");
  expect(await storedTurn(poisoned as string)).toMatchObject({ state: "running", lastSeq: 0, epoch: 1 });
  await sql.unsafe("drop trigger refuse on messages");
  await drain(log.read(poisoned as string, 0));
  await expectEnded(poisoned as string, "interrupted");
});

test("a live turn outlives its lease many times over by renewals alone", async () => {
  const [log] = [openLog(), openLog()];
  const turn = new ScriptedTurn(log, await insertTurn(leaseMs)).begin();
  const [started] = await pool().sql`select now() as at`;
  await until(async () => {
    const [row] = await pool().sql`select now() - ${started?.at}::timestamptz > interval '2.5 seconds' as later`;
    return row?.later;
  });
  expect((await storedLog(turn.turnId)).length).toBe(5);
  expect(await turn.end()).toBe("stored");
  await expectEnded(turn.turnId, "complete");
});

test("pruning deletes the chunks of turns that ended long ago, and of no other; their readers end", async () => {
  const log = openLog();
  const [old, recent, running] = (await insertTurns(3, leaseMs)).map((id) => new ScriptedTurn(log, id).begin());
  if (!old || !recent || !running) throw new Error("three turns");
  expect(await Promise.all([old.end(), recent.end()])).toEqual(["stored", "stored"]);
  for (const { turnId } of [old, running])
    await pool().sql`update turns set ended_at = now() - interval '2 hours' where id = ${turnId}`;
  const before = await storedLog(recent.turnId);
  const slow = log.read(old.turnId, 2);
  expect(await pruneChunks(3_600_000, 10)).toBe(1);
  expect(await pruneChunks(3_600_000, 10)).toBe(0);
  expect(await storedLog(old.turnId)).toEqual([]);
  expect(await slow.next()).toBeNull();
  expect(await storedLog(recent.turnId)).toEqual(before);
  expect(await storedLog(running.turnId)).toHaveLength(5);
  const pruned = await pool().sql`select id from turns where pruned_at is not null`;
  expect(pruned.map(({ id }) => id)).toEqual([old.turnId]);
  expect(await running.end()).toBe("stored");
});
