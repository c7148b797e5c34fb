// Database outages: cut off, unresponsive, stopped, killed. Nothing is lost or repeated, and order
// is kept (docs/reliability.md I2, I3, I4 and the faults "database down mid-stream", "database
// fails at save").
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import postgres from "postgres";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { closePool, pool } from "@/db/client";
import { migrateDatabase } from "@/db/migrate";
import type { LoggedChunk } from "@/lib/turn/chunks";
import { type EmbeddedPostgres, startPostgres } from "@/scripts/postgres";
import { testDatabase } from "@/test/database";
import { type DatabaseProxy, startDatabaseProxy } from "@/test/database-proxy";
import {
  drain,
  expectEnded,
  insertTurn,
  insertTurns,
  ScriptedTurn,
  storedTurn,
  textIn,
  until,
} from "@/test/log/scripted-turn";
import { PostgresLog } from "./postgres-log";

const leaseMs = 30_000;

describe("between server and database", () => {
  const url = testDatabase();
  let proxy: DatabaseProxy;
  const logs: PostgresLog[] = [];
  const openLog = (lease: number, timing?: { maxOutageMs?: number; commitTimeoutMs?: number }) => {
    const log = new PostgresLog(lease, timing);
    logs.push(log);
    return log;
  };

  const begin = (fault: "refuse" | "stall") => (fault === "refuse" ? proxy.down() : proxy.stall("both"));
  const goOn = () => {
    proxy.up();
    proxy.stall(false);
  };

  beforeEach(async () => {
    proxy = await startDatabaseProxy(url());
    process.env.DATABASE_URL = proxy.databaseUrl;
  });
  afterEach(async () => {
    goOn();
    await Promise.all(logs.splice(0).map((log) => log.close(0)));
    await closePool();
    await proxy.close();
    process.env.DATABASE_URL = url();
  });

  test("I3 I4: lost commit replies neither store anything twice nor leave a gap", async () => {
    const log = openLog(leaseMs);
    const turns = (await insertTurns(4, leaseMs)).map((turnId) => new ScriptedTurn(log, turnId).begin());
    const seen = turns.map((): LoggedChunk[] => []);
    const readers = turns.map(({ turnId }, index) => drain(log.read(turnId, 0), seen[index]));
    for (let round = 0; round < 8; round++) {
      proxy.cutReplyTo(`round ${round}`);
      for (const turn of turns) turn.say(`round ${round} `);
      await until(() => seen.every((all) => textIn(all).includes(`round ${round}`)));
      expect(proxy.cutAll).toBe(true);
    }
    proxy.cutReplyTo('{\\"type\\":\\"finish\\"}');
    expect(await Promise.all(turns.map((turn) => turn.end()))).toEqual(["stored", "stored", "stored", "stored"]);
    expect(proxy.cutAll).toBe(true);
    for (const [index, turn] of turns.entries()) {
      const stored = await expectEnded(turn.turnId, "complete");
      expect(textIn(stored)).toBe(turn.text);
      expect(await readers[index]).toEqual(stored);
    }
  });

  test("a connection that falls silent is given up for another", async () => {
    const log = openLog(leaseMs, { commitTimeoutMs: 200 });
    const turn = new ScriptedTurn(log, await insertTurn(leaseMs)).begin();
    const reader = log.read(turn.turnId, 0);
    await reader.next();
    for (let round = 0; round < 3; round++) {
      proxy.muteReplies();
      turn.say(`${round} `);
      await reader.next();
    }
    expect(await turn.end()).toBe("stored");
    expect(textIn(await expectEnded(turn.turnId, "complete"))).toBe(turn.text);
  });

  test.each(["refuse", "stall"] as const)(
    "%s: readers wait, backpressure slows the run, then everything continues",
    async (fault) => {
      const log = openLog(leaseMs, { commitTimeoutMs: 500 });
      const other = openLog(leaseMs);
      const turn = new ScriptedTurn(log, await insertTurn(leaseMs)).begin();
      const seen: LoggedChunk[][] = [[], []];
      const readers = [log, other].map((from, index) => drain(from.read(turn.turnId, 0), seen[index]));
      await until(() => seen.every((all) => all.length === 5));
      begin(fault);
      let room: Promise<void> | undefined;
      while (!room) {
        room = turn.say("x".repeat(8_000));
        await new Promise(setImmediate);
      }
      // One commit's worth in flight and 1 MiB queued, each exceeded by at most one chunk.
      expect(turn.text.length).toBeGreaterThan(1_048_576);
      expect(turn.text.length).toBeLessThan(2 * 1_048_576 + 3 * 8_000);
      expect(seen.map((all) => all.length)).toEqual([5, 5]);
      goOn();
      await room;
      expect(await turn.end()).toBe("stored");
      const stored = await expectEnded(turn.turnId, "complete");
      expect(textIn(stored)).toBe(turn.text);
      for (const all of await Promise.all(readers)) expect(all).toEqual(stored);
    },
  );

  test.each(["refuse", "stall"] as const)(
    "%s for too long: the turn ends as interrupted by its storage",
    async (fault) => {
      // Unanswered for longer than the bound, which applies to a hanging commit too.
      const log = openLog(leaseMs, { maxOutageMs: 300, commitTimeoutMs: 1_000 });
      const turn = new ScriptedTurn(log, await insertTurn(leaseMs)).begin();
      const reader = log.read(turn.turnId, 0);
      await reader.next();
      begin(fault);
      turn.say("kept");
      const ended = turn.endAsHalted();
      await until(() => turn.writer.signal.aborted);
      expect(turn.writer.signal.reason).toMatchObject({ status: "interrupted", error: { code: "storage" } });
      goOn();
      expect(await ended).toBe("stored");
      expect(textIn(await expectEnded(turn.turnId, "interrupted"))).toBe("kept");
      expect(await storedTurn(turn.turnId)).toMatchObject({ error: { code: "storage", retryable: true } });
    },
  );

  test("a table that is locked for long: commits and requests are ended by Postgres, and no backends pile up", async () => {
    const log = openLog(leaseMs, { commitTimeoutMs: 400 });
    const turn = new ScriptedTurn(log, await insertTurn(leaseMs)).begin();
    const reader = log.read(turn.turnId, 0);
    await reader.next();
    const direct = postgres(url(), { max: 1 });
    const backends = (sql: postgres.Sql | postgres.TransactionSql) => sql<{ pid: number }[]>`
      select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`;
    const waiting = (sql: postgres.TransactionSql) => sql`
      select query_start from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock' and query like '%insert into turn_chunks%'`;
    await direct.begin(async (locked) => {
      await locked`lock table turns in access exclusive mode`;
      turn.say("kept");
      const tries = new Set<string>();
      // Every attempt starts a new statement on the same connection.
      await until(async () => {
        for (const { query_start } of await waiting(locked)) tries.add(String(query_start));
        // A transaction sees a fixed snapshot of the statistics until it is cleared.
        await locked`select pg_stat_clear_snapshot()`;
        return tries.size >= 8;
      });
      // At most the pool's ten, plus those of the log, the reaper and Postgres itself.
      expect((await backends(locked)).length).toBeLessThan(15);
    });
    expect(await turn.end()).toBe("stored");
    expect(textIn(await expectEnded(turn.turnId, "complete"))).toBe("kept");
    await direct.end();
  });

  test("an outage longer than the lease costs no live owner its turn", async () => {
    const shortLeaseMs = 600;
    const [log] = [openLog(shortLeaseMs), openLog(shortLeaseMs)];
    const turn = new ScriptedTurn(log, await insertTurn(shortLeaseMs)).begin();
    await log.read(turn.turnId, 0).next();
    begin("refuse");
    turn.say("kept");
    const direct = postgres(url(), { max: 1 });
    await until(async () => {
      const expired = await direct`select 1 from turns where id = ${turn.turnId} and lease_until < now()`;
      return expired.length > 0;
    });
    await direct.end();
    // The owner is the slower one to reconnect.
    proxy.cutRequests(1);
    goOn();
    expect(await turn.end()).toBe("stored");
    await expectEnded(turn.turnId, "complete");
  });
});

describe("a database that is killed", () => {
  let dataDir: string;
  let database: EmbeddedPostgres;
  beforeAll(async () => {
    dataDir = await mkdtemp(path.join(tmpdir(), "rivulet-outage-"));
    database = await startPostgres({ dataDir });
    await migrateDatabase(database.url);
    process.env.DATABASE_URL = database.url;
  });
  afterAll(async () => {
    await closePool();
    await database.stop();
    await rm(dataDir, { recursive: true, force: true });
  });

  test("I1 I3: mid-stream and comes back: nothing is lost, order is kept, the turns complete", async () => {
    const [log, other] = [new PostgresLog(leaseMs), new PostgresLog(leaseMs)];
    const turns = (await insertTurns(3, leaseMs)).map((turnId) => new ScriptedTurn(log, turnId).begin());
    const readers = turns.flatMap(({ turnId }) => [log, other].map((from) => drain(from.read(turnId, 0))));
    const [started] = await pool().sql`select pg_postmaster_start_time() as at`;
    const postmaster = Number(readFileSync(path.join(dataDir, "postgres/data/postmaster.pid"), "utf8").split("\n")[0]);
    let back = false;
    for (let i = 0; !back; i++) {
      for (const turn of turns) await turn.say(`${i} `);
      // Immediate shutdown, as after a power cut. The launcher that started it restarts it.
      if (i === 20) process.kill(postmaster, "SIGQUIT");
      if (i > 20 && i % 20 === 0)
        back = await pool().sql`select pg_postmaster_start_time() as at`.then(
          ([row]) => row?.at !== started?.at,
          () => false,
        );
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    for (const turn of turns) expect(await turn.end()).toBe("stored");
    const all = await Promise.all(readers);
    for (const [index, turn] of turns.entries()) {
      const stored = await expectEnded(turn.turnId, "complete");
      expect(textIn(stored)).toBe(turn.text);
      expect(all.slice(2 * index, 2 * index + 2)).toEqual([stored, stored]);
    }
    await Promise.all([log.close(0), other.close(0)]);
  });
});
