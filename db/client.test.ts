// Bounded waiting: an unresponsive database is detected quickly for every waiter, a slow one is not
// mistaken for it, and abandoned work leaves nothing behind.
import { sql as statement } from "drizzle-orm";
import type { Sql } from "postgres";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { testDatabase } from "@/test/database";
import { type DatabaseProxy, startDatabaseProxy } from "@/test/database-proxy";
import { underLoad } from "@/test/under-load";
import { BoundedClient } from "./bounded-client";
import { closePool, database, pool } from "./client";
import { connect } from "./connect";

/** Maximum wait of a request: the pool gives up after 4.5 s. */
const refusedWithinMs = 6_000;
const url = testDatabase();
let proxy: DatabaseProxy;

beforeAll(async () => {
  proxy = await startDatabaseProxy(url());
  process.env.DATABASE_URL = proxy.databaseUrl;
  return async () => {
    await closePool();
    await proxy.close();
    process.env.DATABASE_URL = url();
  };
});
afterAll(() => proxy.stall(false));

/** Every way to query, for four times as many statements as connections. */
const asks = () =>
  Array.from({ length: 10 }, () => [
    () => pool().sql`select 1`,
    () => database().execute(statement`select 1`),
    () => pool().sql.begin((sql) => sql`select 1`),
    () => database().transaction((tx) => tx.execute(statement`select 1`)),
  ]).flat();

async function fates(): Promise<{ codes: unknown[]; slowestMs: number }> {
  const startMs = performance.now();
  const results = await Promise.allSettled(asks().map((ask) => ask()));
  const codes = results.map((result) => {
    if (result.status === "fulfilled") return "answered";
    return (result.reason.cause ?? result.reason).code;
  });
  return { codes: [...new Set(codes)], slowestMs: performance.now() - startMs };
}

test("a silent database fails every running and queued statement in time, repeatedly, and recovers", async () => {
  expect((await fates()).codes).toEqual(["answered"]);
  // One transaction is open, between two of its statements.
  let goOn = () => {};
  const inside = Promise.withResolvers<void>();
  const transaction = pool().sql.begin(async (sql) => {
    await sql`select 1`;
    inside.resolve();
    await new Promise<void>((resolve) => (goOn = resolve));
    return sql`select 2`;
  });
  await inside.promise;
  proxy.stall("both");
  goOn();
  const waves = [
    transaction.then(
      () => ({ codes: ["answered"], slowestMs: 0 }),
      (error) => ({ codes: [error.code], slowestMs: 0 }),
    ),
  ];
  waves.push(fates());
  for (const { codes, slowestMs } of await Promise.all(waves)) {
    expect(codes).toEqual([expect.stringMatching(/^CONNECTION_/)]);
    expect(slowestMs).toBeLessThan(underLoad(refusedWithinMs));
  }
  const again = await fates();
  expect(again.codes).not.toContain("answered");
  expect(again.slowestMs).toBeLessThan(underLoad(refusedWithinMs));

  proxy.stall(false);
  expect((await fates()).codes).toEqual(["answered"]);
  // Abandoned connections are closed on the server as well.
  const connections = async () =>
    (await pool().sql`select 1 from pg_stat_activity where datname = current_database()`).length;
  while ((await connections()) > 10) await new Promise((resolve) => setTimeout(resolve, 20));
});

const clients: BoundedClient[] = [];
function openClient(max: number, answerTimeoutMs: number): BoundedClient {
  const client = new BoundedClient(max, answerTimeoutMs);
  clients.push(client);
  return client;
}
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close(1)));
});

const codeOf = (work: PromiseLike<unknown>) =>
  work.then(
    () => "answered",
    (error) => error.code,
  );
const pidOf = async ({ sql }: { sql: Sql }) => (await sql`select pg_backend_pid() as pid`)[0]?.pid;
/** Statements of this database that sleep or wait, on any connection. */
const busyBackends = () => pool().sql`
  select 1 from pg_stat_activity
  where datname = current_database() and state = 'active' and pid <> pg_backend_pid() and backend_type = 'client backend'`;

test("every connection has server-side timeouts, and the client's are longer", async () => {
  const settings = (sql: Sql) => sql`
    select current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock,
      current_setting('idle_in_transaction_session_timeout') as idle`;
  expect(await settings(pool().sql)).toEqual([{ statement: "3825ms", lock: "2700ms", idle: "5s" }]);
  expect(await settings(openClient(1, 1_000).sql)).toEqual([{ statement: "850ms", lock: "600ms", idle: "5s" }]);
  const listening = connect(1);
  expect(await settings(listening.sql)).toEqual([{ statement: "3825ms", lock: "2700ms", idle: "5s" }]);
  listening.destroy();
});

test("Postgres cancels a statement over its timeout, and the connection is kept", async () => {
  const client = openClient(1, 600);
  const pid = await pidOf(client);
  expect(await codeOf(client.sql`select pg_sleep(60)`)).toBe("57014");
  expect(await pidOf(client)).toBe(pid);
});

test("a busy pool is not a dead one: statements wait their turn, and a quick one is not last", async () => {
  const client = openClient(2, 700);
  const opened = client.connections;
  const slow = Array.from({ length: 10 }, () => codeOf(client.sql`select pg_sleep(0.4)`));
  const order: string[] = [];
  const quick = client.sql`select 1`.then(() => order.push("quick"));
  const last = client.sql.begin((tx) => tx`select pg_sleep(0.4)`).then(() => order.push("last"));
  expect(new Set(await Promise.all(slow))).toEqual(new Set(["answered"]));
  await Promise.all([quick, last]);
  expect(order).toEqual(["quick", "last"]);
  expect(client.connections).toBe(opened);
});

test("a long table lock uses up no connection: Postgres cancels the waiting statements", async () => {
  const client = openClient(3, 500);
  const opened = client.connections;
  const blocker = openClient(1, 60_000);
  let waitingMost = 0;
  await blocker.sql.begin(async (tx) => {
    await tx`lock table turns in access exclusive mode`;
    for (let round = 0; round < 4; round++) {
      const asked = Array.from({ length: 9 }, () => codeOf(client.sql`select count(*) from turns`));
      const waiting = await busyBackends();
      waitingMost = Math.max(waitingMost, waiting.length);
      expect(new Set(await Promise.all(asked))).toEqual(new Set(["55P03"]));
    }
  });
  expect(waitingMost).toBeLessThanOrEqual(3);
  expect(client.connections).toBe(opened);
  expect(await codeOf(client.sql`select count(*) from turns`)).toBe("answered");
  expect(await busyBackends()).toEqual([]);
});

test("a statement that no timeout ends is cancelled before its connection is replaced", async () => {
  const client = openClient(1, 500);
  const fate = client.sql.begin(async (tx) => {
    await tx`set local statement_timeout = 0`;
    await tx`select pg_sleep(60)`;
  });
  expect(await codeOf(fate)).toBe("CONNECTION_SILENT");
  await expect.poll(busyBackends, { interval: 20 }).toEqual([]);
  expect(await codeOf(client.sql`select 1`)).toBe("answered");
});

test("detects one silent connection among working ones, which finish their statements", async () => {
  const client = openClient(2, 400);
  const [mute] = await Promise.all([client.sql`select 'listen "' as mark`, client.sql`select pg_sleep(0.1)`]);
  expect(mute).toEqual([{ mark: 'listen "' }]);
  proxy.muteListeners();
  let found = false;
  const codes = new Set<string>();
  const asking = [1, 2].map(async () => {
    while (!found) {
      const code = await codeOf(client.sql`select pg_sleep(0.05)`);
      codes.add(code);
      found ||= code !== "answered";
    }
  });
  await Promise.all(asking);
  expect(codes).toEqual(new Set(["answered", "CONNECTION_SILENT"]));
  expect(new Set(await Promise.all([1, 2, 3, 4].map(() => codeOf(client.sql`select 1`))))).toEqual(
    new Set(["answered"]),
  );
});

test("timestamps keep microseconds and JSON is not encoded twice, even before Drizzle is used", async () => {
  const { sql, destroy } = connect(1);
  const at = "2026-01-02 03:04:05.123456+00";
  // A statement's second run binds the types that the driver has learned.
  for (const _ of [1, 2])
    expect(
      await sql`select (${at}::timestamptz at time zone 'utc')::text as at, ${'{"a":1}'}::json->>'a' as a`,
    ).toEqual([{ at: "2026-01-02 03:04:05.123456", a: "1" }]);
  await sql.end();
  destroy();
});
