// Shutdown: not ready, then no new turns, readers move on, and live turns and other requests get
// time to finish (docs/operations.md).
import { setTimeout as delay } from "node:timers/promises";
import { pool } from "@/db/client";
import { orTimeout } from "@/lib/bounded-wait";
import { areMigrationsPending } from "@/lib/database-unavailable";
import { env } from "@/lib/env";
import { AppError } from "@/lib/errors";
import { turnLog } from "@/lib/log/turn-log";
import { logger } from "@/lib/logger";
import { processSingleton } from "@/lib/process-singletons";
import { closeServers, waitForResponses } from "@/lib/requests-in-flight";
import { releaseWatches } from "@/lib/services/chats/watch-chat";
import { streamSlots } from "@/lib/stream-slots";

const state = processSingleton("drain", () => ({
  shuttingDown: false,
  draining: false,
  /** Turns being stored. */
  starts: new Set<Promise<unknown>>(),
}));

export function isDraining(): boolean {
  return state().draining;
}

/**
 * Throws unavailable once shutdown has begun or while migrations are pending, and the database's
 * error if it does not answer.
 */
export async function requireReady(): Promise<void> {
  if (state().shuttingDown) throw new AppError("unavailable", "The server is shutting down.", { retryAfter: 2 });
  if (areMigrationsPending())
    throw new AppError("unavailable", "The server waits for its database.", { retryAfter: 2 });
  await pool().sql`select 1`;
}

/** Tracks a turn being stored until it is live: a drain waits for it. */
export async function trackStart<T>(work: () => Promise<T>): Promise<T> {
  const { starts } = state();
  const start = work();
  starts.add(start);
  try {
    return await start;
  } finally {
    starts.delete(start);
  }
}

/** Lets the ends of streams reach their readers. */
const finalFlushMs = 500;

/**
 * Resolves when all live turns have ended and all requests are answered, or after READY_DELAY_MS
 * and DRAIN_MS.
 */
export async function drain(): Promise<void> {
  const { READY_DELAY_MS, DRAIN_MS } = env();
  state().shuttingDown = true;
  if (READY_DELAY_MS > 0) {
    logger.info({ readyDelayMs: READY_DELAY_MS }, "not ready: who asks for readiness sends no more");
    await delay(READY_DELAY_MS);
  }
  state().draining = true;
  const log = turnLog();
  logger.info({ turns: log.liveCount, drainMs: DRAIN_MS }, "draining: no new turns, live ones may finish");
  log.releaseReaders();
  releaseWatches();
  void streamSlots().withdraw();
  const deadlineMs = performance.now() + DRAIN_MS;
  const leftMs = () => Math.max(0, deadlineMs - performance.now());
  await orTimeout(Promise.allSettled(state().starts), DRAIN_MS);
  await log.close(leftMs());
  closeServers();
  const requests = await waitForResponses(leftMs(), finalFlushMs);
  if (requests > 0) logger.warn({ requests }, "requests were not answered in time");
}
