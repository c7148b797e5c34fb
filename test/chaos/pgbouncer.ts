// PgBouncer in transaction mode in front of a test database: each transaction uses another
// connection, so session state (LISTEN, prepared statements, settings, locks) is lost or leaks to
// others.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import postgres from "postgres";
import { freePort } from "@/scripts/free-port";

/** PgBouncer refuses to run as root. */
const nobody = 65_534;

export class PgBouncer {
  /** DATABASE_URL through PgBouncer. */
  readonly databaseUrl: string;
  readonly #process: ChildProcess;
  readonly #folder: string;

  private constructor(databaseUrl: string, child: ChildProcess, folder: string) {
    this.databaseUrl = databaseUrl;
    this.#process = child;
    this.#folder = folder;
  }

  static async start(databaseUrl: string): Promise<PgBouncer> {
    const folder = mkdtempSync(path.join(tmpdir(), "rivulet-pgbouncer-"));
    const port = await freePort();
    const { hostname, port: target, username, password, pathname } = new URL(databaseUrl);
    const login = `user=${decodeURIComponent(username)} password=${decodeURIComponent(password)}`;
    const file = path.join(folder, "pgbouncer.ini");
    writeFileSync(
      file,
      [
        "[databases]",
        `${pathname.slice(1)} = host=${hostname === "localhost" ? "127.0.0.1" : hostname} port=${target} ${login}`,
        "[pgbouncer]",
        "listen_addr = 127.0.0.1",
        `listen_port = ${port}`,
        "unix_socket_dir =",
        "auth_type = any",
        "pool_mode = transaction",
        "server_round_robin = 1",
        "default_pool_size = 10",
        "max_client_conn = 500",
      ].join("\n"),
    );
    chmodSync(folder, 0o755);
    const root = process.getuid?.() === 0;
    const child = spawn("pgbouncer", [file], { stdio: "ignore", ...(root && { uid: nobody, gid: nobody }) });
    const url = new URL(databaseUrl);
    url.host = `127.0.0.1:${port}`;
    const bouncer = new PgBouncer(url.href, child, folder);
    while (child.exitCode === null) {
      const sql = postgres(bouncer.databaseUrl, { max: 1, prepare: false, connect_timeout: 1 });
      const answers = await sql`select 1`.then(
        () => true,
        () => false,
      );
      await sql.end();
      if (answers) return bouncer;
      await delay(20);
    }
    throw new Error(`PgBouncer does not start with ${file}`);
  }

  async stop(): Promise<void> {
    const gone = once(this.#process, "exit");
    this.#process.kill("SIGTERM");
    await gone;
    rmSync(this.#folder, { recursive: true });
  }
}
