// Monitors event loop delay and logs what ran when the loop was blocked, which delays every other
// request and answer.

import { monitorEventLoopDelay } from "node:perf_hooks";
import { logger } from "./logger";
import { processSingleton } from "./process-singletons";

/** Half the delay a reader of an answer may experience. */
const reportFromMs = 200;
/** Check interval. */
const everyMs = 1_000;
const resolutionMs = 10;
/** Names per log line. */
const maxNames = 10;

type Work = { what: string; endedMs: number | null };

const trackedWork = processSingleton("work", () => new Set<Work>());

/**
 * Names work that begins now; call the result when it ends. For the log only: cheap, and nothing
 * waits for it.
 */
export function trackWork(what: string): () => void {
  const work: Work = { what, endedMs: null };
  trackedWork().add(work);
  return () => {
    work.endedMs ??= performance.now();
  };
}

/** Work active in the last interval; older finished work is dropped. */
function takeWork(intervalMs: number): string[] {
  const work = trackedWork();
  const sinceMs = performance.now() - intervalMs;
  for (const each of work) if (each.endedMs !== null && each.endedMs < sinceMs) work.delete(each);
  const names = new Set(Array.from(work, ({ what }) => what));
  return [...names].slice(-maxNames);
}

/** Starts monitoring. Returns the stop function. */
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
    if (delayMs >= reportFromMs) logger.warn({ delayMs, ran }, "the event loop was blocked");
  }, everyMs).unref();
  return () => {
    clearInterval(timer);
    delays.disable();
  };
}
