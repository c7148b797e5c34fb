// A Postgres of a test's own, for faults of the server process itself: immediate stop as by a power
// cut, restart, freeze. It stays down until the test starts it. Linux only: finds the processes in
// /proc.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { startPostgres } from "@/scripts/postgres";
import { locateBinaries, prepareHome, serviceAccount } from "@/scripts/postgres-files";

export class OwnDatabase {
  readonly url: string;
  readonly #dataDir: string;
  readonly #home: string;

  private constructor(dataDir: string, url: string) {
    this.#dataDir = dataDir;
    this.#home = prepareHome(dataDir);
    this.url = url;
  }

  /** An empty database that accepts queries. */
  static async create(): Promise<OwnDatabase> {
    const dataDir = await mkdtemp(path.join(tmpdir(), "rivulet-own-"));
    const made = await startPostgres({ dataDir, mayCreateDatabases: true });
    // That launcher would revive it; here a stopped database must stay down.
    await made.stop();
    const own = new OwnDatabase(dataDir, made.url);
    await own.start();
    return own;
  }

  /** Resolves when it accepts queries, whatever its state was. May include crash recovery. */
  async start(): Promise<void> {
    if (this.#running) {
      this.thaw();
      return;
    }
    const settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200"];
    const options = [`port=${new URL(this.url).port}`, ...settings].map((setting) => `-c ${setting}`).join(" ");
    await this.#control("start", "-l", path.join(this.#home, "postgres.log"), "-o", options);
  }

  /** Like a power cut: waits for nobody, flushes nothing. */
  async stopImmediately(): Promise<void> {
    await this.#control("stop", "-m", "immediate");
  }

  /** Suspends all of its processes: connections stay open, and nothing answers. */
  freeze(): void {
    const postmaster = this.#postmaster();
    // The parent first, so that it starts no more processes.
    process.kill(postmaster, "SIGSTOP");
    for (const pid of childrenOf(postmaster)) signal(pid, "SIGSTOP");
  }

  thaw(): void {
    const postmaster = this.#postmaster();
    for (const pid of [...childrenOf(postmaster), postmaster]) signal(pid, "SIGCONT");
  }

  async remove(): Promise<void> {
    if (this.#running) await this.stopImmediately();
    await rm(this.#dataDir, { recursive: true, force: true });
  }

  get #running(): boolean {
    return existsSync(this.#pidFile);
  }

  get #pidFile(): string {
    return path.join(this.#home, "data/postmaster.pid");
  }

  #postmaster(): number {
    return Number(readFileSync(this.#pidFile, "utf8").split("\n")[0]);
  }

  async #control(verb: string, ...options: string[]): Promise<void> {
    const account = serviceAccount(this.#home);
    const argv = [verb, "-D", path.join(this.#home, "data"), "-w", ...options];
    const program = path.join(locateBinaries(account), "pg_ctl");
    const child: ChildProcess = spawn(program, argv, { ...account, cwd: this.#home, stdio: "ignore" });
    const [code] = await once(child, "exit");
    if (code !== 0) throw new Error(`pg_ctl ${verb} failed (${code}); see ${this.#home}/postgres.log`);
  }
}

/** A process that has ended meanwhile needs no signal. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
}
