// A database that hangs: connections stay open and nothing is answered. Whoever waits is told soon, whatever they wait
// with, and nothing of it stays behind.
import { sql as statement } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { testDatabase } from "@/test/database";
import { type DatabaseProxy, startDatabaseProxy } from "@/test/database-proxy";
import { AnswerWatch } from "./answer-watch";
import { closePool, connect, database, pool } from "./client";

/** What a request may wait: the pool notices after four seconds. */
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

/** One of each way to ask, four times as many as there are connections. */
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

test("silence ends every wait, also of what is queued, again and again; then everything goes on", async () => {
  expect((await fates()).codes).toEqual(["answered"]);
  // One transaction is under way, between two of its statements.
  let goOn = () => {};
  const inside = Promise.withResolvers<void>();
  const begun = pool().sql.begin(async (sql) => {
    await sql`select 1`;
    inside.resolve();
    await new Promise<void>((resolve) => (goOn = resolve));
    return sql`select 2`;
  });
  await inside.promise;
  proxy.stall("both");
  goOn();
  const waves = [
    begun.then(
      () => ({ codes: ["answered"], slowestMs: 0 }),
      (error) => ({ codes: [error.code], slowestMs: 0 }),
    ),
  ];
  waves.push(fates());
  for (const { codes, slowestMs } of await Promise.all(waves)) {
    expect(codes).toEqual([expect.stringMatching(/^CONNECTION_/)]);
    expect(slowestMs).toBeLessThan(refusedWithinMs);
  }
  const again = await fates();
  expect(again.codes).not.toContain("answered");
  expect(again.slowestMs).toBeLessThan(refusedWithinMs);

  proxy.stall(false);
  expect((await fates()).codes).toEqual(["answered"]);
  // What was given up is closed, on the other side as well.
  const connections = async () =>
    (await pool().sql`select 1 from pg_stat_activity where datname = current_database()`).length;
  while ((await connections()) > 10) await new Promise((resolve) => setTimeout(resolve, 20));
});

test("a slow query is not silence while a trivial one is answered, and is given up in the end", async () => {
  const { sql, destroy } = connect(2);
  const reported: string[] = [];
  const patience = { probeMs: 300, silentMs: 900, slowMs: 2_000 };
  const watch = new AnswerWatch(
    sql,
    patience,
    () => reported.push("silent"),
    () => reported.push("slow"),
  );
  await watch.sql`select pg_sleep(1.4)`;
  expect(reported).toEqual([]);
  const endless = watch.sql`select pg_sleep(60)`.then(
    () => "answered",
    (error) => error.code,
  );
  while (reported.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  expect(reported).toEqual(["slow"]);
  destroy();
  expect(await endless).toMatch(/^CONNECTION_/);
});
