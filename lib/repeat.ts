// Periodic background work of a process, never overlapping itself. Does not keep the process alive.
import { isDatabaseUnavailable } from "./database-unavailable";
import { logger } from "./logger";

/**
 * Runs first after `firstMs`, then `everyMs` after each run ends. Failures are logged, unless the
 * database is away, and the work is retried. Returns the stop function.
 */
export function repeat(everyMs: number, work: () => Promise<void>, firstMs = everyMs): () => void {
  let timer: NodeJS.Timeout | null = null;
  let stopped = false;
  const round = async () => {
    try {
      await work();
    } catch (error) {
      if (!isDatabaseUnavailable(error)) logger.error({ err: error }, "background work failed; will retry");
    }
    if (!stopped) timer = setTimeout(round, everyMs).unref();
  };
  timer = setTimeout(round, firstMs).unref();
  return () => {
    stopped = true;
    if (timer) clearTimeout(timer);
  };
}
