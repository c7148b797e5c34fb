// Turns that outlive their server: runs unanswered and resumable ones here, and with
// CONTINUE_INTERRUPTED=auto continues interrupted answers (docs/operations.md, decision 0010).
import { listContinuable } from "@/db/turns";
import { isDatabaseUnavailable } from "@/lib/database-unavailable";
import { env } from "@/lib/env";
import { AppError } from "@/lib/errors";
import { turnLog } from "@/lib/log/turn-log";
import { logger } from "@/lib/logger";
import { repeat } from "@/lib/repeat";
import { isDraining } from "./drain";
import { execute } from "./execute";
import { startTurn } from "./start";

/**
 * Same as the log's reaper: a waiting user learns of an answer's end and its continuation about
 * equally soon.
 */
const roundIntervalMs = 1_000;
/** Per round, to keep rounds short. */
const batchSize = 20;

/** Call once at startup. */
export function startTakeovers(): void {
  turnLog().onOrphan(({ turnId, stored, ...turn }) => void execute({ id: turnId, ...turn }, stored));
  if (env().CONTINUE_INTERRUPTED === "auto") repeat(roundIntervalMs, continueInterrupted());
}

/**
 * One round: every interrupted answer is continued once, by the first server. The new turn's key
 * decides.
 */
function continueInterrupted(): () => Promise<void> {
  /** Permanently refused, e.g. because the model is gone; dropped once no longer listed. */
  let refused = new Set<string>();
  return async () => {
    if (isDraining()) return;
    const turns = await listContinuable(batchSize);
    refused = new Set(turns.map(({ id }) => id).filter((id) => refused.has(id)));
    for (const { id, userId, chatId, messageId } of turns) {
      if (refused.has(id)) continue;
      const request = { trigger: "continue-message", chatId, messageId, clientKey: `continue:${id}` } as const;
      try {
        // The drain keeps it alive: it waits for all live turns.
        await startTurn(userId, request, () => {});
      } catch (error) {
        if (isDatabaseUnavailable(error)) throw error;
        // Temporary: the user's other answers end, and daily budgets reset.
        if (AppError.is(error) && error.status === 429) continue;
        refused.add(id);
        logger.warn({ err: error, turnId: id }, "an interrupted answer could not be continued");
      }
    }
  };
}
