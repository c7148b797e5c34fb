// Turns whose owner died (docs/reliability.md I2, I4, I5, I10): ended once, by a surviving process,
// with what was stored.
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { pool } from "@/db/client";
import { commitChunks, pruneChunks } from "@/db/log";
import { ChunkState } from "@/lib/turn/chunk-state";
import type { FinalState, TurnChunk } from "@/lib/turn/chunks";
import { closeParts, endTurn } from "@/lib/turn/ending";
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
import { logged } from "@/test/logged";
import { PostgresLog } from "./postgres-log";
import { Reaper } from "./reaper";

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

/** A turn that opens every kind of part. */
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
  // Without the terminal, which would end the turn.
  return [...chunks, ...endTurn(new ChunkState(chunks), { turnId, status: "complete" }).slice(0, -1)];
}

test("I2 I4 I5: an owner that died after any chunk: one terminal, all parts closed, the message equals the log", async () => {
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
    const starts = logged.filter(({ chunk }) => chunk.type === "start");
    expect(starts).toMatchObject([{ seq: 1, chunk: { messageId: `answer-${turnId}` } }]);
    expect(closeParts(new ChunkState(logged.map(({ chunk }) => chunk)))).toEqual([]);
    expect(await storedTurn(turnId)).toMatchObject({ epoch: 2 });
  }
});

test("I5 I4: after a server dies with 500 live answers, one process ends them all within lease + 2 s", async () => {
  const turnIds = await insertTurns(500, leaseMs);
  const rows = turnIds.map((turnId) => {
    const chunks = script(turnId).map((chunk, index) => ({ seq: index + 1, json: JSON.stringify(chunk) }));
    return { turnId, epoch: 1, lastSeq: chunks.length, chunks };
  });
  await commitChunks(pool().sql, rows, leaseMs);
  const [died] = await pool().sql`select max(lease_until) as at from turns where id = any(${turnIds}::uuid[])`;
  openLog();
  const left = () => pool().sql`select 1 from turns where id = any(${turnIds}::uuid[]) and state = 'running' limit 1`;
  await until(async () => (await left()).length === 0);
  const [ended] = await pool().sql`
    select bool_and(state = 'interrupted' and epoch = 2) as once,
      max(ended_at) <= ${died?.at}::timestamptz + interval '2 seconds' as "inTime",
      count(distinct turns.xmin::text)::int as transactions
    from turns where id = any(${turnIds}::uuid[])`;
  expect(ended).toEqual({ once: true, inTime: true, transactions: 10 });
  for (const turnId of [turnIds[0], turnIds[499]]) await expectEnded(turnId as string, "interrupted");
});

test("ends in one round more orphaned answers than one query returns", async () => {
  const turnIds = await insertTurns(1_100, 1);
  await pool().sql`update turns set stop_requested_at = now() where id = any(${turnIds}::uuid[])`;
  const reaper = new Reaper(
    60_000,
    () => false,
    () => null,
  );
  await reaper.round();
  const states = await pool().sql`
    select state, count(*)::int as turns from turns where id = any(${turnIds}::uuid[]) group by state`;
  expect([...states]).toEqual([{ state: "stopped", turns: 1_100 }]);
});

test.each([-2, 2])("I16: leases follow the database's clock while this process's is %i days off", async (days) => {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + days * 86_400_000 });
  onTestFinished(() => void vi.useRealTimers());
  const [alive, dead] = [await insertTurn(60_000), await insertTurn(1)];
  await pool().sql`update turns set stop_requested_at = now() where id in (${alive}, ${dead})`;
  const reaper = new Reaper(
    60_000,
    () => false,
    () => null,
  );
  await reaper.round();
  expect(await storedTurn(alive)).toMatchObject({ state: "running", epoch: 1 });
  expect(await storedTurn(dead)).toMatchObject({ state: "stopped", epoch: 2 });
});

test("logs a turn ended by the reaper like any other", async () => {
  const turnId = await insertTurn(1);
  await store(turnId, script(turnId).slice(0, 8));
  const lines = await logged(async (written) => {
    openLog();
    await until(async () => written.some(({ msg }) => msg === "turn ended"));
  });
  const [owner] = await pool().sql`select user_id from turns where id = ${turnId}`;
  expect(lines.filter(({ msg }) => msg === "turn ended")).toEqual([
    expect.objectContaining({
      turnId,
      userId: owner?.user_id,
      model: "test",
      status: "interrupted",
      error: "interrupted",
      durationMs: expect.any(Number),
      takenOver: true,
    }),
  ]);
});

test("I11: a stop of a turn whose owner is dead takes effect", async () => {
  const turnId = await insertTurn(leaseMs);
  await store(turnId, script(turnId).slice(0, 6));
  const log = openLog();
  expect(await log.requestStop(turnId)).toBe(true);
  expect((await drain(log.read(turnId, 0))).at(-1)).toMatchObject({ chunk: { type: "abort" } });
  await expectEnded(turnId, "stopped");
});

test("a turn that this process is writing is late, not orphaned", async () => {
  const log = openLog();
  const late = new ScriptedTurn(log, await insertTurn(leaseMs)).begin();
  const expire = (turnId: string, ago: string) =>
    pool().sql`update turns set lease_until = now() - ${ago}::interval where id = ${turnId}`;
  // The dead turn expired later, so once it has ended, the late one has been examined.
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

test("a turn that cannot be ended does not block the others", async () => {
  const [poisoned, dead] = await insertTurns(2, 1);
  const { sql } = pool();
  await sql.unsafe(`
    create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
    create trigger refuse before update on messages for each row when (old.turn_id = '${poisoned}') execute function refuse()`);
  await sql`update turns set lease_until = now() - interval '1 hour' where id = ${poisoned as string}`;
  const log = openLog();
  await drain(log.read(dead as string, 0));
  await expectEnded(dead as string, "interrupted");
  // The claim persists, so an attempt counts even when it kills its server.
  expect(await storedTurn(poisoned as string)).toMatchObject({ state: "running", lastSeq: 0, epoch: 2 });
  await sql.unsafe("drop trigger refuse on messages");
  await drain(log.read(poisoned as string, 0));
  await expectEnded(poisoned as string, "interrupted");
});

test("a message that the database rejects is stored as plain text", async () => {
  const turnId = await insertTurn(1);
  await store(turnId, script(turnId));
  const { sql } = pool();
  await sql.unsafe(`
    create function refuse_reasoning() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
    create trigger refuse_reasoning before update on messages for each row
      when (new.parts::text like '%reasoning%') execute function refuse_reasoning()`);
  const log = openLog();
  const logged = await drain(log.read(turnId, 0));
  expect(logged.at(-1)).toMatchObject({ chunk: { type: "error" } });
  expect(await storedTurn(turnId)).toMatchObject({
    state: "interrupted",
    epoch: 2,
    lastSeq: logged.length,
    message: { status: "interrupted", text: "one two", parts: [{ type: "text", text: "one two", state: "done" }] },
  });
  await sql.unsafe("drop trigger refuse_reasoning on messages");
});

test("an unreadable log is retried a bounded number of times, then its turn ends with what is stored", async () => {
  const [broken, other] = (await insertTurns(2, 1)) as [string, string];
  const stored = script(broken).slice(0, 8);
  await store(broken, stored);
  await store(other, script(other).slice(0, 8));
  await pool().sql`update turn_chunks set chunk = 'null' where turn_id = ${broken} and seq = 8`;
  const log = openLog();
  await drain(log.read(other, 0));
  await expectEnded(other, "interrupted");
  // Expires each claim's lease by hand. With a lease short enough to wait for, a query on a busy
  // database takes longer than an owner may miss a renewal, which counts as an outage: then nobody
  // claims for three seconds.
  await until(async () => {
    await pool()
      .sql`update turns set lease_until = now() - interval '1 second' where id = ${broken} and state = 'running'`;
    // The message is updated after its turn.
    return (await storedTurn(broken)).message.status !== "running";
  });
  const rows = await pool()
    .sql`select seq, chunk->>'type' as type from turn_chunks where turn_id = ${broken} order by seq`;
  expect(rows.map(({ seq }) => seq)).toEqual(rows.map((_, index) => index + 1));
  expect(rows.map(({ type }) => type).slice(6)).toEqual(["text-delta", null, "message-metadata", "data-turn", "error"]);
  const crashes = await pool().sql`select crashes from turns where id = ${broken}`;
  expect(crashes).toEqual([{ crashes: 8 }]);
  expect(await storedTurn(broken)).toMatchObject({
    state: "interrupted",
    epoch: 9,
    error: { code: "interrupted" },
    message: { status: "interrupted" },
  });
});

test("renewals alone keep a live turn running through many leases", async () => {
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

test("pruning deletes only the chunks of turns that ended long ago, and ends their readers", async () => {
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
