// The ways DATABASE_URL can reach a database: TLS, a Unix socket, several hosts. Runs two databases
// of its own: one with TLS, one read-only.
import { chown, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createConnection, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { sql as statement } from "drizzle-orm";
import type { Sql } from "postgres";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { freePort } from "@/scripts/free-port";
import { startPostgres } from "@/scripts/postgres";
import { prepareHome, serviceAccount } from "@/scripts/postgres-files";
import { selfSigned } from "@/test/certificate";
import { type FaultProxy, startFaultProxy } from "@/test/fault-proxy";
import { closePool, database, pool } from "./client";
import { type Connections, connect } from "./connect";

const outerEnv = { ...process.env };
const dataDirs: string[] = [];
const stops: (() => Promise<void>)[] = [];
const opened: Connections[] = [];
const proxies: FaultProxy[] = [];
let url: URL;
let home: string;
let readOnlyPort: number;

async function start(): Promise<{ url: URL; home: string }> {
  const dataDir = await mkdtemp(path.join(tmpdir(), "rivulet-connect-"));
  dataDirs.push(dataDir);
  const server = await startPostgres({ dataDir });
  stops.push(server.stop);
  return { url: new URL(server.adminUrl), home: prepareHome(dataDir) };
}

/** As the server under test connects. */
function open(address: URL | string, max = 1): Sql {
  process.env.DATABASE_URL = String(address);
  const connections = connect(max);
  opened.push(connections);
  return connections.sql;
}

beforeAll(async () => {
  const [first, second] = await Promise.all([start(), start()]);
  url = first.url;
  readOnlyPort = Number(second.url.port);
  home = first.home;
  await offerTls("localhost");
  const other = open(second.url);
  for (const sql of [open(url), other]) await sql.unsafe("create role visitor login password 'visitor'");
  await other.unsafe("alter system set default_transaction_read_only = on");
  await other`select pg_reload_conf()`;
}, 60_000);

/** With a certificate for that host, trusted by this process. */
async function offerTls(host: string): Promise<void> {
  const account = serviceAccount(home);
  const files = selfSigned(host);
  setDefaultCACertificates([...getCACertificates(), files.certificate]);
  const sql = open(url);
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(home, `${host}.${name}`);
    await writeFile(file, text, { mode: 0o600 });
    if (account) await chown(file, account.uid, account.gid);
    await sql.unsafe(`alter system set ${name === "key" ? "ssl_key_file" : "ssl_cert_file"} = '${file}'`);
  }
  await sql.unsafe("alter system set ssl = on");
  await sql`select pg_reload_conf()`;
}
afterEach(async () => {
  await closePool();
  for (const { destroy } of opened.splice(0)) destroy();
  await Promise.all(proxies.splice(0).map((proxy) => proxy.close()));
  process.env = { ...outerEnv };
});
afterAll(async () => {
  await Promise.all(stops.map((stop) => stop()));
  for (const dataDir of dataDirs) await rm(dataDir, { recursive: true, force: true });
});

function withTls(mode: string, host = "localhost", port = url.port): URL {
  const address = new URL("postgres://visitor:visitor@localhost/postgres");
  address.hostname = host;
  address.port = port;
  address.searchParams.set("sslmode", mode);
  return address;
}

async function proxyTo(port: number): Promise<FaultProxy> {
  const proxy = await startFaultProxy({ host: "127.0.0.1", port });
  proxies.push(proxy);
  return proxy;
}

const codeOf = (work: PromiseLike<unknown>) =>
  work.then(
    () => "answered",
    (error) => error.code,
  );

test.each(["require", "prefer", "verify-full"])("TLS: sslmode=%s", async (mode) => {
  const sql = open(withTls(mode), 3);
  const rows = await Promise.all(
    [1, 2, 3].map(() => sql`select ssl from pg_stat_ssl where pid = pg_backend_pid() and pg_sleep(0.05) is not null`),
  );
  expect(rows).toEqual([[{ ssl: true }], [{ ssl: true }], [{ ssl: true }]]);
  expect(await database().execute(statement`select ssl from pg_stat_ssl where pid = pg_backend_pid()`)).toEqual([
    { ssl: true },
  ]);
});

test("TLS: LISTEN works, and closing a connection ends it at once, even without a reply", async () => {
  const proxy = await proxyTo(Number(url.port));
  const sql = open(withTls("require", "localhost", String(proxy.port)));
  const { promise, resolve } = Promise.withResolvers<string>();
  await sql.listen("connect_test", resolve);
  await pool().sql`select pg_notify('connect_test', 'heard')`;
  expect(await promise).toBe("heard");

  const slow = sql`select pg_sleep(60)`;
  const fate = codeOf(slow);
  expect(await codeOf(pool().sql`select 1`)).toBe("answered");
  proxy.stall("both");
  opened.at(-1)?.destroy();
  expect(await fate).toMatch(/^CONNECTION_/);
});

test("fails when TLS is required and the server has none", async () => {
  const code = (mode: string) => codeOf(open(withTls(mode, "localhost", String(readOnlyPort)))`select 1`);
  expect(await code("require")).not.toBe("answered");
  expect(await code("verify-full")).not.toBe("answered");
  expect(await code("prefer")).toBe("answered");
});

test("connects to a Unix socket by PGHOST", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "rivulet-socket-"));
  const server: Server = createServer((socket) => {
    const upstream = createConnection(Number(url.port), "127.0.0.1");
    socket.pipe(upstream).pipe(socket);
    socket.on("error", () => upstream.destroy());
    upstream.on("error", () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(path.join(folder, ".s.PGSQL.5432"), resolve));
  Object.assign(process.env, {
    PGHOST: folder,
    PGPORT: "5432",
    PGUSERNAME: url.username,
    PGPASSWORD: url.password,
  });
  expect(await open("postgres:///postgres")`select current_user as name`).toEqual([{ name: "rivulet" }]);
  opened.at(-1)?.destroy();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true });
});

const severalHosts = (ports: (number | string)[], attributes = "") =>
  `postgres://visitor:visitor@${ports.map((port) => `127.0.0.1:${port}`).join(",")}/postgres${attributes}`;
const portsOf = async (sql: Sql, count: number) => {
  const answers = await Promise.all(
    Array.from(
      { length: count },
      () => sql`select current_setting('port')::int as port where pg_sleep(0.1) is not null`,
    ),
  );
  return [...new Set(answers.map(([row]) => row?.port))];
};

test("several hosts: all connections use one, and the next one when it is gone", async () => {
  const first = Number(url.port);
  expect(await portsOf(open(severalHosts([first, readOnlyPort]), 4), 4)).toEqual([first]);
  expect(await portsOf(open(severalHosts([await freePort(), readOnlyPort]), 4), 4)).toEqual([readOnlyPort]);
  const proxy = await proxyTo(first);
  const sql = open(severalHosts([proxy.port, readOnlyPort]), 4);
  expect(await portsOf(sql, 4)).toEqual([first]);
  proxy.down();
  await expect.poll(() => portsOf(sql, 4).catch((error) => error.code), { interval: 50 }).toEqual([readOnlyPort]);
});

test.each(["", "&sslmode=prefer"])("several hosts: uses the first of the required kind (%s)", async (tls) => {
  const ports = [readOnlyPort, Number(url.port)];
  const sql = open(severalHosts(ports, `?target_session_attrs=read-write${tls}`), 4);
  expect(await portsOf(sql, 4)).toEqual([Number(url.port)]);
  expect(await portsOf(sql, 8)).toEqual([Number(url.port)]);
});

test("TLS: verify-full rejects a certificate for another name", async () => {
  await offerTls("elsewhere.test");
  const code = (mode: string) => codeOf(open(withTls(mode))`select 1`);
  await expect.poll(() => code("verify-full"), { interval: 50 }).toBe("ERR_TLS_CERT_ALTNAME_INVALID");
  expect(await code("require")).toBe("answered");
});
