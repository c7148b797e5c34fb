// The embedded database: PostgreSQL from npm, stored in DATA_DIR/postgres and controlled with its
// own pg_ctl. Several server processes may share it: the first starts it, later ones adopt it, the
// last one stops it. Never loaded with a DATABASE_URL.
import { type SpawnOptions, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, existsSync, openSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import postgres from "postgres";
import { freePort } from "./free-port.ts";
import { withLock } from "./lock.ts";
import {
  type Account,
  ensurePassword,
  locateBinaries,
  prepareHome,
  readPassword,
  serviceAccount,
} from "./postgres-files.ts";
import { applicationRole, behindSentence, prepareRole } from "./postgres-role.ts";
import { isAlive, worksIn } from "./postmaster.ts";

export type EmbeddedPostgres = {
  /** For the application; its role owns the database and is not a superuser. */
  url: string;
  /** For cluster maintenance. */
  adminUrl: string;
  /**
   * Stops the database unless another Rivulet process is connected. Does not throw when it is
   * already gone.
   */
  stop(): Promise<void>;
};

type Options = {
  dataDir: string;
  onProgress?: (sentence: string) => void;
  /** Tests create their own databases. */
  mayCreateDatabases?: boolean;
};

/** Long enough for crash recovery of a busy database on a slow disk; normal is 0.2 s. */
const startTimeoutMs = 60_000;

const settings = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  // Ten connections per server process (db/client.ts): room for a dozen processes and psql.
  max_connections: 200,
  // The default of 128 MB is half of what the whole server uses; a chat's working set is small.
  shared_buffers: "64MB",
  max_wal_size: "256MB",
  // Parallel workers need more /dev/shm than a container has by default.
  max_parallel_workers_per_gather: 0,
  log_checkpoints: "off",
  timezone: "UTC",
  log_timezone: "UTC",
};

/** Starts the database in `dataDir` or adopts the running one. Safe across processes. */
export async function startPostgres({
  dataDir,
  onProgress = () => {},
  mayCreateDatabases = false,
}: Options): Promise<EmbeddedPostgres> {
  const home = prepareHome(dataDir);
  const cluster = new Cluster(home, onProgress, mayCreateDatabases);
  let port = await cluster.ensureRunning();
  let stopping = false;

  // A connection held for the caller's lifetime: it shows others that the database is in use, and
  // tells us when it died.
  let keeper = await open();

  async function open(): Promise<postgres.Sql> {
    const sql = connect(cluster.adminUrl(port), () => void revive());
    await sql`select 1`;
    return sql;
  }

  // The server keeps the URL, so a killed database comes back on the same port.
  async function revive(): Promise<void> {
    if (stopping) return;
    try {
      await keeper.end({ timeout: 0 });
      port = await cluster.ensureRunning(port);
      if (!stopping) keeper = await open();
    } catch (error) {
      console.error(`The embedded database has stopped and cannot be restarted: ${(error as Error).message}`);
    }
  }

  return {
    url: cluster.url(port),
    adminUrl: cluster.adminUrl(port),
    async stop() {
      stopping = true;
      await keeper.end({ timeout: 1 });
      await cluster.stopUnlessUsed();
    },
  };
}

function connect(url: string, onclose: () => void = () => {}): postgres.Sql {
  return postgres(url, {
    max: 1,
    connect_timeout: 5,
    max_lifetime: null,
    onnotice: () => {},
    onclose,
    connection: { application_name: "rivulet" },
  });
}

class Cluster {
  readonly #home: string;
  readonly #data: string;
  readonly #log: string;
  readonly #onProgress: (sentence: string) => void;
  readonly #account: Account | undefined;
  readonly #bin: string;
  readonly #mayCreateDatabases: boolean;

  constructor(home: string, onProgress: (sentence: string) => void, mayCreateDatabases: boolean) {
    this.#home = home;
    this.#mayCreateDatabases = mayCreateDatabases;
    this.#data = path.join(home, "data");
    this.#log = path.join(home, "postgres.log");
    this.#onProgress = onProgress;
    // Postgres refuses to run as root: it runs as the owner of the data.
    this.#account = serviceAccount(home);
    this.#bin = locateBinaries(this.#account);
  }

  url(port: number): string {
    return `postgres://${applicationRole}:${readPassword(this.#home, "app-password")}@127.0.0.1:${port}/postgres`;
  }

  adminUrl(port: number): string {
    return `postgres://rivulet:${readPassword(this.#home, "password")}@127.0.0.1:${port}/postgres`;
  }

  /** The port the database listens on. */
  ensureRunning(preferredPort?: number): Promise<number> {
    return withLock(path.join(this.#home, "lock"), async () => {
      if (!existsSync(this.#data)) await this.#create();
      const port = await this.#answeringPort(preferredPort);
      await this.#prepareRole(port);
      return port;
    });
  }

  async #answeringPort(preferredPort?: number): Promise<number> {
    const deadline = Date.now() + startTimeoutMs;
    for (;;) {
      const running = this.#postmaster();
      if (running) {
        if (await answers(this.adminUrl(running.port))) return running.port;
      } else {
        // Fails for a few seconds after kill -9: the old backends still hold the shared memory.
        const failure = await this.#start(preferredPort ?? (await freePort()));
        if (!failure) continue;
        if (Date.now() > deadline - startTimeoutMs + 15_000) throw new Error(failure);
      }
      if (Date.now() > deadline) throw new Error(`The database in ${this.#home} does not answer; see ${this.#log}.`);
      await delay(100);
    }
  }

  stopUnlessUsed(): Promise<void> {
    return withLock(path.join(this.#home, "lock"), async () => {
      const running = this.#postmaster();
      if (!running) return;
      if (await this.#usedByOthers(this.adminUrl(running.port))) return;
      const failure = await this.#run("pg_ctl", ["stop", "-D", this.#data, "-m", "fast", "-w"]);
      if (failure && this.#postmaster()) throw new Error(failure);
    });
  }

  async #usedByOthers(url: string): Promise<boolean> {
    const sql = connect(url);
    try {
      // A process that just ended is listed until its backends notice.
      const deadline = Date.now() + 1_500;
      for (;;) {
        const [row] = await sql<{ others: number }[]>`
          select count(*)::int as others from pg_stat_activity
          where application_name = 'rivulet' and pid <> pg_backend_pid()`;
        if (!row?.others) return false;
        if (Date.now() > deadline) return true;
        await delay(50);
      }
    } finally {
      await sql.end({ timeout: 1 });
    }
  }

  async #create(): Promise<void> {
    this.#onProgress(`Creating the embedded database in ${this.#home} …`);
    for (const name of readdirSync(this.#home))
      if (name.startsWith("data-")) rmSync(path.join(this.#home, name), { recursive: true, force: true });
    const fresh = path.join(this.#home, `data-${randomBytes(6).toString("hex")}`);
    ensurePassword(this.#home, "password", this.#account);
    const password = path.join(this.#home, "password");
    // C.UTF-8 knows the case of Unicode letters, C does not; full-text search needs it.
    const locale = ["-E", "UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"];
    const access = ["-U", "rivulet", "--auth=scram-sha-256", `--pwfile=${password}`];
    const failure = await this.#run("initdb", ["-D", fresh, ...locale, ...access]);
    if (failure) throw new Error(failure);
    // Renamed only when finished; the next start cleans up an aborted one (above).
    renameSync(fresh, this.#data);
  }

  /** Also for a database of an older version, which had only the superuser. */
  async #prepareRole(port: number): Promise<void> {
    const sql = connect(this.adminUrl(port));
    try {
      ensurePassword(this.#home, "app-password", this.#account);
      const password = readPassword(this.#home, "app-password");
      const known = await answers(this.url(port));
      await prepareRole(sql, { password, known, mayCreateDatabases: this.#mayCreateDatabases });
      const behind = await behindSentence(sql);
      if (behind) this.#onProgress(behind);
    } finally {
      await sql.end({ timeout: 1 });
    }
  }

  #start(port: number): Promise<string | undefined> {
    const options = Object.entries({ port, ...settings }).map(([name, value]) => `-c ${name}=${value}`);
    return this.#run("pg_ctl", ["start", "-D", this.#data, "-w", "-l", this.#log, "-o", options.join(" ")]);
  }

  /** The live postmaster, from this data directory's postmaster.pid: line 1 pid, line 4 port. */
  #postmaster(): { pid: number; port: number } | undefined {
    const file = path.join(this.#data, "postmaster.pid");
    if (!existsSync(file)) return undefined;
    const lines = readFileSync(file, "utf8").split("\n");
    const pid = Number(lines[0]);
    const port = Number(lines[3]);
    if (!isAlive(pid)) return undefined;
    if (process.platform === "linux" && !worksIn(pid, this.#data)) {
      // The pid was reused, as happens in containers; Postgres would wait for that process.
      rmSync(file, { force: true });
      return undefined;
    }
    return { pid, port };
  }

  /** Undefined on success, otherwise a sentence with the program's output. */
  async #run(program: string, argv: string[]): Promise<string | undefined> {
    // To a file: the server that pg_ctl leaves behind would hold a pipe open.
    const outputFile = path.join(this.#home, `${program}.out`);
    const output = openSync(outputFile, "w", 0o600);
    try {
      const code = await new Promise<number | null>((resolve, reject) => {
        const env = { ...process.env };
        // PGPORT and the like are meant for another database.
        for (const name of Object.keys(env)) if (name.startsWith("PG")) delete env[name];
        const options: SpawnOptions = { ...this.#account, cwd: this.#home, env, stdio: ["ignore", output, output] };
        const child = spawn(path.join(this.#bin, program), argv, options);
        child.on("error", reject);
        child.on("exit", resolve);
      });
      if (code === 0) return undefined;
    } finally {
      closeSync(output);
    }
    const log = program === "pg_ctl" && existsSync(this.#log) ? readFileSync(this.#log, "utf8") : "";
    const printed = `${readFileSync(outputFile, "utf8")}\n${log.split("\n").slice(-6).join("\n")}`.trim();
    return `The embedded database: ${program} failed in ${this.#home}.\n${printed}`;
  }
}

async function answers(url: string): Promise<boolean> {
  const sql = connect(url);
  try {
    await sql`select 1`;
    return true;
  } catch {
    // Still starting or shutting down: the caller checks again.
    return false;
  } finally {
    await sql.end({ timeout: 1 });
  }
}
