// Background work of a process: the same thing again and again, never twice at once. Ends with the process at the latest.
import { isDatabaseAway } from "./database-away";
import { logger } from "./logger";

/** The first time after `firstMs`, then `everyMs` after each end. A failure is logged, and the work repeated. Returns how to stop. */
export function repeat(everyMs: number, work: () => Promise<void>, firstMs = everyMs): () => void {
  let timer: NodeJS.Timeout | null = null;
  let stopped = false;
  const round = async () => {
    try {
      await work();
    } catch (error) {
      if (!isDatabaseAway(error)) logger.error({ err: error }, "background work failed, will be repeated");
    }
    if (!stopped) timer = setTimeout(round, everyMs).unref();
  };
  timer = setTimeout(round, firstMs).unref();
  return () => {
    stopped = true;
    if (timer) clearTimeout(timer);
  };
}
