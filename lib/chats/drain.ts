// The server's way out: no new turns, readers move on, live turns get their time (docs/operations.md).
import { pool } from "@/db/client";
import { areMigrationsPending } from "@/lib/database-away";
import { env } from "@/lib/env";
import { AppError } from "@/lib/errors";
import { turnLog } from "@/lib/log/turn-log";
import { logger } from "@/lib/logger";
import { releaseWatches } from "./watch";

const key = Symbol.for("rivulet.draining");
const startsKey = Symbol.for("rivulet.starts");
const shared = globalThis as { [key]?: boolean; [startsKey]?: Set<Promise<unknown>> };

export function isDraining(): boolean {
  return shared[key] ?? false;
}

/** Throws unavailable while new turns are refused, and what the database throws when it does not answer. */
export async function requireReady(): Promise<void> {
  if (isDraining()) throw new AppError("unavailable", "The server is shutting down.", { retryAfter: 2 });
  if (areMigrationsPending())
    throw new AppError("unavailable", "The server waits for its database.", { retryAfter: 2 });
  await pool().sql`select 1`;
}

/** The storing of a new turn, up to the moment when it is a live one: a drain waits for it. */
export async function whileStarting<T>(work: () => Promise<T>): Promise<T> {
  shared[startsKey] ??= new Set();
  const start = work();
  shared[startsKey].add(start);
  try {
    return await start;
  } finally {
    shared[startsKey].delete(start);
  }
}

/** Resolves when every live turn has ended, or DRAIN_MS have passed. */
export async function drain(): Promise<void> {
  shared[key] = true;
  const log = turnLog();
  logger.info({ turns: log.liveCount, drainMs: env().DRAIN_MS }, "draining: no new turns, live ones may finish");
  log.releaseReaders();
  releaseWatches();
  const deadlineMs = performance.now() + env().DRAIN_MS;
  const timeout = new Promise((resolve) => setTimeout(resolve, env().DRAIN_MS).unref());
  await Promise.race([Promise.allSettled(shared[startsKey] ?? []), timeout]);
  await log.close(Math.max(0, deadlineMs - performance.now()));
}
