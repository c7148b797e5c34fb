// Two servers whose database is behind PgBouncer in transaction mode: LISTEN succeeds and no
// notification ever arrives. So this also proves that notifications are only hints.
import { randomBytes } from "node:crypto";
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { requirePrograms } from "@/scripts/debian";
import { withDatabase } from "@/test/database";
import { complaintsOf, gated, gateOf, header, median, newKey, testCluster, textOf } from "@/test/server/cluster";
import { underLoad } from "@/test/under-load";
import { PgBouncer } from "./pgbouncer";
import { countCases, sized } from "./trial";

const leaseMs = 3_000;
const cluster = testCluster({ servers: 0, env: { LEASE_MS: String(leaseMs), HEARTBEAT_MS: "500" } });
/** Limit for a stop (I11), and for an open page's delay. */
const promptMs = 1_000;
const deaf = "notifications of the database do not arrive";
const name = `rivulet_pooled_${randomBytes(6).toString("hex")}`;
let bouncer: PgBouncer;

beforeAll(async () => {
  requirePrograms("pgbouncer");
  // Empty: both servers try to apply the migrations.
  await cluster.sql.unsafe(`create database ${name}`);
  bouncer = await PgBouncer.start(withDatabase(cluster.databaseUrl, name));
  const start = () => cluster.start({ databaseUrl: bouncer.databaseUrl });
  [cluster.a, cluster.b] = await Promise.all([start(), start()]);
  cluster.user = await cluster.guest();
  for (const server of [cluster.a, cluster.b]) await (await cluster.send(newKey(), {}, { server })).ended;
}, 300_000);

afterAll(async () => {
  await Promise.all([cluster.a?.kill("SIGKILL"), cluster.b?.kill("SIGKILL")]);
  await bouncer?.stop();
});

test("I15 I3: a reader on one server follows live an answer written by the other", async (context) => {
  const key = newKey();
  const tokens = Array.from({ length: sized(12, 100) }, (_, index) => `word${index} `);
  cluster.provider.on(key, gated(key, tokens));
  const stream = await cluster.send(key, { searchMode: "none" });
  const reader = await cluster.follow(header(stream, "x-turn-id"), { server: cluster.b });
  const delaysMs: number[] = [];
  for (const [index] of tokens.entries()) {
    const { length } = tokens.slice(0, index + 1).join("");
    await stream.until(({ text }) => text.length >= length);
    const writtenMs = performance.now();
    await reader.until(({ text }) => text.length >= length);
    delaysMs.push(performance.now() - writtenMs);
    cluster.provider.open(gateOf(key, index));
  }
  expect(await Promise.all([stream.ended, reader.ended])).toEqual(["terminal", "terminal"]);
  expect(reader.chunks).toEqual(stream.chunks);
  expect(reader.text).toBe(tokens.join(""));
  console.log(`behind PgBouncer a reader elsewhere is ${Math.round(median(delaysMs))} ms late (median)`);
  expect(median(delaysMs)).toBeLessThan(underLoad(promptMs));
  countCases(context, tokens.length);
});

test("I11 I15: a stop on the other server closes the provider's socket within a second", async () => {
  const key = newKey();
  cluster.provider.on(key, [{ gate: key }, { text: "never" }, { finish: "stop" }]);
  const stream = await cluster.send(key, { searchMode: "none" });
  await cluster.provider.reached(key);
  // A commit would reveal the stop; from here on there is none until a token arrives.
  await stream.until(({ chunks }) =>
    chunks.some((chunk) => chunk.type === "data-status" && chunk.data.stage === "generate"),
  );
  const request = cluster.provider.requests.at(-1);
  const askedMs = performance.now();
  const stopped = cluster.api("DELETE", `/api/turns/${header(stream, "x-turn-id")}`, { server: cluster.b });
  expect(await request?.closed).toBe("client");
  const tookMs = performance.now() - askedMs;
  expect((await stopped).body).toMatchObject({ status: "stopped" });
  expect(await stream.ended).toBe("terminal");
  console.log(`stopped after ${Math.round(tookMs)} ms`);
  expect(tookMs).toBeLessThan(underLoad(promptMs));
});

test("I7 I9 I15: concurrent requests on both servers share pooled connections without mixing sessions or statements", async (context) => {
  const sends = Array.from({ length: sized(10, 60) }, (_, index) => (index % 2 ? cluster.a : cluster.b));
  const done = await Promise.all(
    sends.map(async (server) => {
      const key = newKey();
      cluster.provider.on(key, [{ tokens: "one two three four five" }, { finish: "stop" }]);
      const stream = await cluster.send(key, {}, { server });
      const lists = await Promise.all(
        [cluster.a, cluster.b].map((from) => cluster.api("GET", "/api/chats", { server: from })),
      );
      expect(lists.map(({ status }) => status)).toEqual([200, 200]);
      expect(await stream.ended).toBe("terminal");
      return cluster.answer(header(stream, "x-chat-id"), { server });
    }),
  );
  expect(done.map(textOf)).toEqual(sends.map(() => "one two three four five"));
  countCases(context, sends.length);
});

test("Postgres enforces statement timeouts behind a pooler that rejects startup parameters", async () => {
  const sql = postgres(bouncer.databaseUrl, { max: 1, prepare: false });
  const settings = await cluster.sql`
    select setting from pg_db_role_setting as own, pg_database, unnest(setconfig) as setting
    where setdatabase = pg_database.oid and datname = ${name} order by setting`;
  expect(settings.map(({ setting }) => setting)).toEqual([
    "client_connection_check_interval=1000",
    "idle_in_transaction_session_timeout=5000",
    "lock_timeout=2700",
    "statement_timeout=3825",
  ]);
  // Connections that the pooler opened before the role got its limits have none.
  const limits = async () => (await sql`select current_setting('statement_timeout') as statement`)[0]?.statement;
  const seen = new Set<string>();
  while (!seen.has("3825ms")) seen.add(await limits());
  await sql.end();
});

test("I15: each server warns once about missing notifications, says what to do, and polls", async () => {
  for (const server of [cluster.a, cluster.b]) {
    while (!server.output().includes(deaf)) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(complaintsOf(server)).toEqual([expect.stringContaining("session mode")]);
  }
});

test("I5 I15: a server ends the turns of a killed one, and shuts down cleanly", async () => {
  const key = newKey();
  cluster.provider.on(key, [{ text: "kept" }, { gate: key }, { finish: "stop" }]);
  const stream = await cluster.send(key);
  await stream.until(({ text }) => text === "kept");
  const reader = await cluster.follow(header(stream, "x-turn-id"), { server: cluster.b });
  await reader.until(({ text }) => text === "kept");
  await cluster.a.kill("SIGKILL");
  const killedMs = performance.now();
  expect(await reader.ended).toBe("terminal");
  expect(performance.now() - killedMs).toBeLessThan(underLoad(leaseMs + 2_000));
  expect(textOf(await cluster.answer(header(stream, "x-chat-id"), { server: cluster.b }))).toBe("kept");
  expect(await cluster.b.stop()).toBe(0);
});
