// The log's contract on a real Postgres, and what only Postgres can show: commits per second,
// fencing, lost notifications, failing statements.
import { once } from "node:events";
import { stat } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import postgres from "postgres";
import { afterEach, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { pool } from "@/db/client";
import { commitChunks, turnsChannel } from "@/db/log";
import type { LoggedChunk } from "@/lib/turn/chunks";
import { testDatabase } from "@/test/database";
import { logContract } from "@/test/log/log.contract";
import {
  drain,
  expectComplete,
  expectEnded,
  insertTurn,
  insertTurns,
  readUntil,
  ScriptedTurn,
  storedLog,
  storedTurn,
  textIn,
  until,
} from "@/test/log/scripted-turn";
import { PostgresLog } from "./postgres-log";

const url = testDatabase();
/** Long: no test here is about dead owners. */
const leaseMs = 30_000;

logContract("Postgres", {
  openLog: () => new PostgresLog(leaseMs),
  insertTurns: (count) => insertTurns(count, leaseMs),
  storedLog,
  async blockStorage() {
    const sql = postgres(url(), { max: 1 });
    await sql.unsafe("begin; lock table turn_chunks in exclusive mode");
    return {
      storeWaits: () =>
        until(async () => {
          const rows =
            await sql`select 1 from pg_locks where relation = 'turn_chunks'::regclass and mode = 'RowExclusiveLock' and not granted`;
          return rows.length > 0;
        }),
      async release() {
        await sql.unsafe("commit");
        await sql.end();
      },
    };
  },
});

describe("on Postgres", () => {
  const logs: PostgresLog[] = [];
  const openLog = (lease = leaseMs, timing: { holdMs?: number; commitIntervalMs?: number } = {}) => {
    const log = new PostgresLog(lease, timing);
    logs.push(log);
    return log;
  };
  afterEach(async () => {
    await Promise.all(logs.splice(0).map((log) => log.close(0)));
  });

  test("commits the first text at once, even right after another commit", async () => {
    // No commit begins because the interval has passed.
    const log = openLog(leaseMs, { commitIntervalMs: 3_600_000 });
    const turn = new ScriptedTurn(log, await insertTurn(leaseMs)).begin();
    const reader = log.read(turn.turnId, 0);
    await readUntil(reader, (all) => all.length === 5);
    turn.say("first");
    expect(textIn((await reader.next()) ?? [])).toBe("first");
  });

  test("later text waits for the interval", async () => {
    const log = openLog();
    const turn = new ScriptedTurn(log, await insertTurn(leaseMs)).begin();
    const reader = log.read(turn.turnId, 0);
    await readUntil(reader, (all) => all.length === 5);
    const startMs = performance.now();
    turn.say("first");
    await reader.next();
    for (let i = 0; i < 20; i++) {
      turn.say(`${i}`);
      await reader.next();
    }
    // Timers may differ from performance.now() by a fraction.
    expect(performance.now() - startMs).toBeGreaterThan(20 * 24);
    await turn.end();
  });

  test("continuous appends do not delay a commit", async () => {
    const log = openLog();
    const turn = new ScriptedTurn(log, await insertTurn(leaseMs)).begin();
    let committed = false;
    const first = log.read(turn.turnId, 0).next();
    void first.then(() => {
      committed = true;
    });
    while (!committed) {
      turn.say("x");
      await new Promise(setImmediate);
    }
    expect(await turn.end()).toBe("stored");
  });

  test.each([
    ["a bounded number per commit, oldest first", 60_000, [75, 75, 75, 50]],
    ["beyond that number once it has waited long", 1, [275]],
  ])("releases text held for a commit before it, %s", async (_, holdMs, sizes) => {
    const log = openLog(leaseMs, { holdMs });
    const turn = new ScriptedTurn(log, await insertTurn(leaseMs)).begin();
    const passed: number[] = [];
    const kept: number[] = [];
    const sequence: string[] = [];
    for (let text = 0; text < 350; text++) {
      const tell = (word: string) => {
        // Never from within the call that holds the text.
        expect(kept).toContain(text);
        sequence.push(`${word} ${text}`);
      };
      const holds: boolean = log.hold({ prepare: () => tell("prepare"), release: () => tell("release") });
      (holds ? kept : passed).push(text);
    }
    // When a 1 ms timer fires, all of them have waited longer than that.
    for (const keptMs = performance.now(); performance.now() < keptMs + 2; );
    expect(passed).toEqual(Array.from({ length: 75 }, (_, text) => text));
    expect(sequence).toEqual([]);
    await until(async () => sequence.length === 2 * kept.length);
    const waits = [...kept];
    const steps = sizes.flatMap((size) => {
      const texts = waits.splice(0, size);
      return [...texts.map((text) => `prepare ${text}`), ...texts.map((text) => `release ${text}`)];
    });
    expect(sequence).toEqual(steps);
    await turn.end();
  });

  test("polls the network between the two calls, and the commit includes what arrived", async () => {
    const server = createServer();
    onTestFinished(() => void server.close());
    await once(server.listen(0, "127.0.0.1"), "listening");
    // Paused before connecting: nothing is read until released.
    const reader = connect((server.address() as AddressInfo).port, "127.0.0.1").pause();
    const [writer] = (await once(server, "connection")) as [Socket];
    onTestFinished(() => void reader.destroy());
    onTestFinished(() => void writer.destroy());
    await new Promise((resolve) => writer.write("said meanwhile", resolve));

    const log = openLog();
    const turn = new ScriptedTurn(log, await insertTurn(leaseMs)).begin();
    const logged = log.read(turn.turnId, 0);
    await readUntil(logged, (all) => all.length === 5);
    let received = "";
    reader.on("data", (bytes) => (received += bytes)).pause();
    turn.say("first");
    await readUntil(logged, (all) => textIn(all) === "first");
    const released = Promise.withResolvers<string>();
    const waiting = {
      prepare: () => void reader.resume(),
      release() {
        turn.say(received);
        released.resolve(received);
      },
    };
    while (!log.hold(waiting)) expect(received).toBe("");
    // The worst case: the network was just polled, and the next text finds the commit idle.
    await stat(".");
    for (const startMs = performance.now(); performance.now() < startMs + 30; );
    log.hold({ prepare() {}, release() {} });
    expect(await released.promise).toBe("said meanwhile");
    // All in one commit.
    expect(textIn((await logged.next()) ?? [])).toContain("said meanwhile");
    await turn.end();
  });

  test("a hanging commit does not keep text held", async () => {
    const log = openLog();
    const turn = new ScriptedTurn(log, await insertTurn(leaseMs)).begin();
    const reader = log.read(turn.turnId, 0);
    await readUntil(reader, (all) => all.length === 5);
    const sql = postgres(url(), { max: 1 });
    await sql.unsafe("begin; lock table turn_chunks in exclusive mode");
    turn.say("stuck");
    await until(async () => {
      const rows = await pool()
        .sql`select 1 from pg_locks where relation = 'turn_chunks'::regclass and mode = 'RowExclusiveLock' and not granted`;
      return rows.length > 0;
    });
    const calls: string[] = [];
    const holds = (): boolean =>
      log.hold({ prepare: () => calls.push("prepare"), release: () => calls.push("release") });
    for (const times of [1, 2]) {
      expect(holds()).toBe(true);
      await until(async () => calls.length === 2 * times);
    }
    expect(calls).toEqual(["prepare", "release", "prepare", "release"]);
    await sql.unsafe("commit");
    await sql.end();
    await turn.end();
  });

  test("closing the log releases held text and holds no more", async () => {
    const log = openLog();
    log.open(await insertTurn(leaseMs), 1);
    const histories: string[][] = [];
    for (let text = 0; text < 350; text++) {
      const calls: string[] = [];
      const waiting = { prepare: () => calls.push("prepare"), release: () => calls.push("release") };
      if (log.hold(waiting)) histories.push(calls);
    }
    await log.close(0);
    expect(histories).toEqual(Array.from({ length: 275 }, () => ["prepare", "release"]));
    expect(log.hold({ prepare() {}, release() {} })).toBe(false);
  });

  describe("commits per second", () => {
    beforeAll(async () => {
      // Each group commit updates `turns` in one statement.
      await pool().sql.unsafe(`
        create sequence commits;
        create function count_commit() returns trigger language plpgsql as
          $$ begin perform nextval('commits'); return null; end $$;
        create trigger count_commits after update on turns for each statement execute function count_commit()`);
      return async () => {
        await pool().sql.unsafe("drop trigger count_commits on turns");
      };
    });

    const countCommits = async () =>
      Number((await pool().sql`select last_value - (not is_called)::int as count from commits`)[0]?.count);

    test.each([1, 500])("of %i live turns", async (count) => {
      const log = openLog();
      const turnIds = await insertTurns(count, leaseMs);
      const turns = turnIds.map((turnId) => new ScriptedTurn(log, turnId));
      const readers = turnIds.slice(0, 20).map((turnId) => drain(log.read(turnId, 0)));
      const before = await countCommits();
      const startMs = performance.now();
      for (const turn of turns) turn.begin();
      while (performance.now() - startMs < 2_000) {
        for (const turn of turns) turn.say("word ");
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      const seconds = (performance.now() - startMs) / 1_000;
      const commits = (await countCommits()) - before;
      await Promise.all(turns.map((turn) => turn.end()));
      const chunks = (await storedLog(turnIds[0] as string)).length;
      console.info(`${count} turns: ${(commits / seconds).toFixed(1)} commits a second, ${chunks} chunks a turn`);
      // 40 from the interval and 5 for first texts, which may all come at once at the start.
      expect(commits).toBeLessThanOrEqual(45 * seconds + 6);
      expect(commits).toBeGreaterThan(2);
      for (const [index, all] of (await Promise.all(readers)).entries()) {
        expectComplete(all);
        expect(textIn(all)).toBe(turns[index]?.text);
      }
    });
  });

  test("I10: a fenced owner appends nothing, finishes nothing and notifies nothing, and its signal aborts", async () => {
    const log = openLog();
    const turnId = await insertTurn(leaseMs);
    const turn = new ScriptedTurn(log, turnId).begin();
    turn.say("mine");
    await readUntil(log.read(turnId, 0), (all) => textIn(all) === "mine");
    const listener = postgres(url(), { max: 1 });
    const received: string[] = [];
    await listener.listen(turnsChannel, (payload) => received.push(payload));
    await pool().sql`update turns set epoch = epoch + 1 where id = ${turnId}`;
    const before = await storedLog(turnId);
    turn.say("not mine");
    expect(await turn.end()).toBe("lost");
    expect(turn.writer.signal.reason).toMatchObject({ status: "interrupted" });
    expect(log.liveCount).toBe(0);
    expect(await storedLog(turnId)).toEqual(before);
    expect(await storedTurn(turnId)).toMatchObject({ state: "running", epoch: 2, message: { status: "running" } });
    await pool().sql.notify(turnsChannel, "last");
    await until(() => received.includes("last"));
    expect(received).toEqual(["last"]);
    await listener.end();
  });

  test("I11 I15: the next commit reports a stop whose notification was lost", async () => {
    const log = openLog();
    const turn = new ScriptedTurn(log, await insertTurn(leaseMs)).begin();
    await pool().sql`update turns set stop_requested_at = now() where id = ${turn.turnId}`;
    turn.say("a");
    await until(() => turn.writer.signal.aborted);
    expect(turn.writer.signal.reason).toMatchObject({ status: "stopped" });
    expect(await turn.end("stopped")).toBe("stored");
  });

  test("deleting a turn ends its run and its readers on every server", async () => {
    const [log, other] = [openLog(), openLog()];
    const turnId = await insertTurn(leaseMs);
    const turn = new ScriptedTurn(log, turnId).begin();
    const opening = (all: LoggedChunk[]) => all.length === 5;
    const readers = [log.read(turnId, 0), other.read(turnId, 0)];
    await Promise.all(readers.map((reader) => readUntil(reader, opening)));
    const rests = readers.map((reader) => reader.next());
    await pool().sql.begin(async (sql) => {
      await sql`delete from chats where id = ${`chat-${turnId}`}`;
      await sql`delete from turn_chunks where turn_id = ${turnId}`;
    });
    turn.say("into nothing");
    expect(await turn.writer.ended).toBe("lost");
    expect(await Promise.all(rests)).toEqual([null, null]);
  });

  describe("a commit that fails", () => {
    /** Makes ending this turn's message fail `times` times with this SQLSTATE. */
    async function failEnding(turnId: string, times: number, sqlstate: string): Promise<void> {
      const { sql } = pool();
      await sql.unsafe(`
        create sequence tries;
        create function fail_ending() returns trigger language plpgsql as $$ begin
          if nextval('tries') <= ${times} then raise exception 'no' using errcode = '${sqlstate}'; end if;
          return new;
        end $$;
        create trigger fail_ending before update on messages for each row when (old.turn_id = '${turnId}')
          execute function fail_ending()`);
      onTestFinished(async () => {
        await sql.unsafe("drop trigger fail_ending on messages; drop function fail_ending; drop sequence tries");
      });
    }

    test("I4: for a transient reason is retried: terminal, message and state are stored together", async () => {
      const log = openLog();
      const turn = new ScriptedTurn(log, await insertTurn(leaseMs)).begin();
      await failEnding(turn.turnId, 2, "40001");
      turn.say("whole");
      const reader = drain(log.read(turn.turnId, 0));
      expect(await turn.end()).toBe("stored");
      expect(await reader).toEqual(await expectEnded(turn.turnId, "complete"));
    });

    test("I4: permanently writes no terminal or state and leaves other turns alone; the reaper ends the turn", async () => {
      const log = openLog(900);
      const [one, two] = (await insertTurns(2, leaseMs)).map((turnId) => new ScriptedTurn(log, turnId).begin());
      if (!one || !two) throw new Error("two turns");
      // Once with the others, then alone.
      await failEnding(one.turnId, 2, "P0001");
      for (const turn of [one, two]) turn.say("kept");
      await readUntil(log.read(one.turnId, 0), (all) => textIn(all) === "kept");
      const reader = drain(log.read(one.turnId, 0));
      const ends = [one.end(), two.end()];
      expect(await ends[0]).toBe("lost");
      const running = { state: "running", message: { status: "running", text: "" } };
      expect(await storedTurn(one.turnId)).toMatchObject(running);
      expect(textIn(await storedLog(one.turnId))).toBe("kept");
      expect(await ends[1]).toBe("stored");
      await expectEnded(two.turnId, "complete");
      expect((await reader).at(-1)).toMatchObject({ chunk: { type: "error" } });
      expect(await reader).toEqual(await expectEnded(one.turnId, "interrupted"));
    });

    test("I3 I4: and executes long after its retry rolls nothing back", async () => {
      const turnId = await insertTurn(leaseMs);
      const { sql } = pool();
      const row = (seq: number) => ({ turnId, epoch: 1, lastSeq: seq, chunks: [{ seq, json: `{"n":${seq}}` }] });
      for (const seq of [1, 2, 1]) await commitChunks(sql, [row(seq)], leaseMs);
      expect(await storedTurn(turnId)).toMatchObject({ lastSeq: 2 });
      expect((await storedLog(turnId)).map(({ json }) => json)).toEqual(['{"n":1}', '{"n":2}']);
    });

    test("I1 I3 I4: with an unknown outcome: while backends are killed repeatedly, every log stays complete", async () => {
      const [log, other] = [openLog(), openLog()];
      const turns = (await insertTurns(12, leaseMs)).map((turnId) => new ScriptedTurn(log, turnId).begin());
      const remotes = turns.map(({ turnId }) => drain(other.read(turnId, 0)));
      const killer = postgres(url(), { max: 1, connection: { application_name: "killer" }, onnotice: () => {} });
      let kills = 0;
      for (let i = 0; kills < 15; i++) {
        for (const turn of turns) await turn.say(`${i} `);
        const rows = await killer`
          select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and state = 'active' and query like '%insert into turn_chunks%'
            and application_name = 'rivulet'`;
        kills += rows.length;
      }
      const ends = await Promise.all(turns.map((turn) => turn.end()));
      expect(ends).toEqual(ends.map(() => "stored"));
      for (const [index, turn] of turns.entries()) {
        const stored = await expectEnded(turn.turnId, "complete");
        expect(textIn(stored)).toBe(turn.text);
        expect(await remotes[index]).toEqual(stored);
      }
      await killer.end();
    });
  });
});
