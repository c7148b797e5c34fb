// Who holds the event loop: its longest delay, measured all the time, and a line in the log with what ran when it was held.
// Everything else of the process waits meanwhile, answers of other users too.
import { monitorEventLoopDelay } from "node:perf_hooks";
import { logger } from "./logger";

/** Half of what a reader of an answer may have to wait. */
const reportFromMs = 200;
/** Delays are looked at this often. */
const everyMs = 1_000;
const resolutionMs = 10;
/** Names in one line. */
const maxNames = 10;

type Work = { what: string; endedMs: number | null };

// On globalThis because Next bundles each route apart.
const key = Symbol.for("rivulet.work");
const shared = globalThis as { [key]?: Set<Work> };

/** Names what begins now; call the result when it is over. Only for the log: cheap, and nothing waits for it. */
export function beginWork(what: string): () => void {
  shared[key] ??= new Set();
  const work: Work = { what, endedMs: null };
  shared[key].add(work);
  return () => {
    work.endedMs ??= performance.now();
  };
}

/** What ran in the last interval, and still runs; what ended before is forgotten. */
function takeWork(intervalMs: number): string[] {
  const work = shared[key] ?? new Set();
  const sinceMs = performance.now() - intervalMs;
  for (const each of work) if (each.endedMs !== null && each.endedMs < sinceMs) work.delete(each);
  const names = new Set(Array.from(work, ({ what }) => what));
  return [...names].slice(-maxNames);
}

/** Begins to watch. Returns how to stop it. */
export function watchEventLoop(): () => void {
  const delays = monitorEventLoopDelay({ resolution: resolutionMs });
  delays.enable();
  let lookedMs = performance.now();
  const timer = setInterval(() => {
    const nowMs = performance.now();
    const ran = takeWork(nowMs - lookedMs);
    lookedMs = nowMs;
    const delayMs = Math.round(delays.max / 1e6) - resolutionMs;
    delays.reset();
    if (delayMs >= reportFromMs) logger.warn({ delayMs, ran }, "the event loop was held");
  }, everyMs).unref();
  return () => {
    clearInterval(timer);
    delays.disable();
  };
}
