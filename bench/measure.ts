// Runs one workload for one contender and measures it: results from the readers, CPU and memory
// from the system, commits from the database.
import type { ChildProcess } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import type { Contender } from "./contenders.ts";
import { cpuSeconds, memoryBytes, quantile } from "./figures.ts";
import type { Job, Measured, Report } from "./load.ts";

export type Work = { name: string; streams: number; turns: number; tokens: number; rate: number };

export type Figures = {
  firstTokenMs: { p50: number; p99: number };
  tokensPerSecond: number;
  /** CPU seconds per 1,000 tokens. */
  serverCpu: number;
  databaseCpu: number | null;
  gapMs: number;
  commitsPerSecond: number | null;
  errors: string[];
};

/** The process of bench/load.ts, one job at a time. */
export class Load {
  readonly #process: ChildProcess;

  constructor(process: ChildProcess) {
    this.#process = process;
  }

  start(job: Job | "leave"): void {
    this.#process.send(job);
  }

  /** Resolves to the next report. */
  report(): Promise<Report> {
    return new Promise((resolve, reject) => {
      const gone = () => reject(new Error("The readers' process has ended."));
      this.#process.once("exit", gone);
      this.#process.once("message", (report) => {
        this.#process.off("exit", gone);
        resolve(report as Report);
      });
    });
  }
}

/** Rated streams start staggered, as people do: at most 125 a second. */
const spreadMs = 4_000;

export async function measureWork(load: Load, contender: Contender, work: Work): Promise<Figures> {
  const { pid, database, target } = contender;
  const { streams, turns, tokens, rate } = work;
  const before = await spent(contender);
  load.start({ ...target, streams, turns, tokens, rate, spreadMs: rate > 0 ? spreadMs : 0 });
  const { measured } = (await load.report()) as { measured: Measured };
  const after = await spent(contender);
  const { checked: errors } = (await load.report()) as { checked: string[] };
  const perThousand = (seconds: number) => (seconds * 1_000) / measured.tokens;
  return {
    firstTokenMs: { p50: quantile(measured.firstTokenMs, 0.5), p99: quantile(measured.firstTokenMs, 0.99) },
    tokensPerSecond: measured.tokensPerSecond,
    serverCpu: perThousand(after.server - before.server),
    databaseCpu: database ? perThousand(after.database - before.database) : null,
    gapMs: quantile(measured.gapMs, 0.99),
    commitsPerSecond: database ? (after.commits - before.commits) / (after.seconds - before.seconds) : null,
    errors: memoryBytes(pid) > 0 ? errors : [...errors, "the server has gone"],
  };
}

type Spent = { seconds: number; server: number; database: number; commits: number };

async function spent({ pid, database }: Contender): Promise<Spent> {
  // Every writing transaction takes the next number.
  const [row] = database
    ? await database.sql`select pg_snapshot_xmax(pg_current_snapshot())::text::float8 as commits`
    : [{ commits: 0 }];
  return {
    seconds: performance.now() / 1_000,
    server: cpuSeconds(pid),
    database: database ? cpuSeconds(database.pid) : 0,
    commits: row?.commits,
  };
}

/** Enough that the rest of the process does not matter. */
const heldStreams = 500;
const heldTokens = 20;

/** For a freshly started server: bytes per stream that is open and idle after a few tokens. */
export async function measureMemory(load: Load, contender: Contender, provider: ChildProcess): Promise<number> {
  const job = { ...contender.target, tokens: heldTokens, rate: 0, spreadMs: 0 };
  load.start({ ...job, streams: 2, turns: 10 });
  await load.report();
  await load.report();
  await sleep(1_000);
  const before = memoryBytes(contender.pid);
  load.start({ ...job, streams: heldStreams, turns: 1, spreadMs, hold: true });
  const report = await load.report();
  if ("checked" in report) throw new Error(`${contender.label}: ${report.checked[0]}`);
  await sleep(1_000);
  const after = memoryBytes(contender.pid);
  load.start("leave");
  const { checked: errors } = (await load.report()) as { checked: string[] };
  if (errors.length > 0) throw new Error(`${contender.label}: ${errors[0]}`);
  // Work that outlives its readers ends too.
  provider.kill("SIGUSR2");
  await sleep(1_000);
  return (after - before) / heldStreams;
}

export type ReadersFigures = { readers: number; transactionsPerSecond: number; databaseCpu: number; errors: string[] };

const readTokens = 850;
const readRate = 50;
/**
 * All readers have caught up, and Postgres has counted the cost of opening them: idle connections
 * report after ten seconds.
 */
const settleMs = 10_500;
const windowMs = 5_000;

/** The database cost of one turn with this many readers. Its CPU is in seconds per second. */
export async function measureReaders(load: Load, contender: Contender, readers: number): Promise<ReadersFigures> {
  const { database, target } = contender;
  if (!database) throw new Error(`${contender.label} has no database.`);
  const leave = new AbortController();
  const [token = ""] = target.bearers ?? [];
  const headers = Object.fromEntries(
    Object.entries(target.headers).map(([name, value]) => [name, value.replace("{token}", token)]),
  );
  const answer = await fetch(`http://127.0.0.1:${target.port}${target.path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: target.body
      .replaceAll("{uuid}", () => crypto.randomUUID())
      .replace("{prompt}", `tokens=${readTokens} rate=${readRate}`),
    signal: leave.signal,
  });
  const path = `/api/turns/${answer.headers.get("x-turn-id")}/stream`;
  leave.abort();
  const job = { ...target, headers, method: "GET", path, body: "", tokens: readTokens, rate: readRate };
  load.start({ ...job, streams: readers, turns: 1, spreadMs: 1_000 });
  await sleep(settleMs);
  const transactions = async () => {
    const [row] = await database.sql`
      select xact_commit::float8 as count from pg_stat_database where datname = current_database()`;
    return row?.count as number;
  };
  const [countBefore, cpuBefore] = [await transactions(), cpuSeconds(database.pid)];
  await sleep(windowMs);
  const [countAfter, cpuAfter] = [await transactions(), cpuSeconds(database.pid)];
  await load.report();
  const { checked: errors } = (await load.report()) as { checked: string[] };
  return {
    readers,
    transactionsPerSecond: ((countAfter - countBefore) * 1_000) / windowMs,
    databaseCpu: ((cpuAfter - cpuBefore) * 1_000) / windowMs,
    errors,
  };
}
