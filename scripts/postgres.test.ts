import { spawn } from "node:child_process";
import { existsSync, readFileSync, realpathSync, statSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import postgres from "postgres";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type EmbeddedPostgres, startPostgres } from "./postgres";

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

test("starts an UTF-8 database that is fsynced, listens on loopback only and asks for a password", async () => {
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

test("a second start adopts the running database, and only the last one to leave stops it", async () => {
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

test("keeps its data and password over a stop", async () => {
  const first = await start();
  await query(first.url, (sql) => sql`create table kept as select 7 as value`);
  await first.stop();
  const second = await start();
  expect(await query(second.url, (sql) => sql`select value from kept`)).toEqual([{ value: 7 }]);
  expect(new URL(second.url).password).toBe(new URL(first.url).password);
});

test("four processes at once make one database", async () => {
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

test("comes back on the same port with everything acknowledged after a kill -9 of the postmaster", async () => {
  const { url } = await start();
  await query(url, (sql) => sql`create table kept as select 7 as value`);
  const pid = postmasterPid();
  process.kill(pid, "SIGKILL");
  await expect
    .poll(() => query(url, (sql) => sql`select value from kept`).catch(() => null), { timeout: 15_000 })
    .toEqual([{ value: 7 }]);
  expect(postmasterPid()).not.toBe(pid);
});

test("starts after everything of the last run was killed, also when its pid means another process now", async () => {
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

test("a start that was cut short during creation leaves nothing in the way", async () => {
  const first = await start();
  await first.stop();
  await rm(path.join(dataDir, "postgres/data"), { recursive: true });
  await mkdir(path.join(dataDir, "postgres/data-half-made"));
  const { url } = await start();
  expect(await query(url, (sql) => sql`select 1 as one`)).toEqual([{ one: 1 }]);
  expect(existsSync(path.join(dataDir, "postgres/data-half-made"))).toBe(false);
});
