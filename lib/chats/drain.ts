// The server's way out: no new turns, readers move on, live turns get their time (docs/operations.md).
import { env } from "@/lib/env";
import { turnLog } from "@/lib/log/turn-log";
import { logger } from "@/lib/logger";

const key = Symbol.for("rivulet.draining");
const shared = globalThis as { [key]?: boolean };

export function isDraining(): boolean {
  return shared[key] ?? false;
}

/** Resolves when every live turn has ended, or DRAIN_MS have passed. */
export async function drain(): Promise<void> {
  shared[key] = true;
  const log = turnLog();
  logger.info({ turns: log.liveCount, drainMs: env().DRAIN_MS }, "draining: no new turns, live ones may finish");
  log.releaseReaders();
  await log.close(env().DRAIN_MS);
}
