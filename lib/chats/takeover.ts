// Turns that outlive their server: one that nobody had begun to answer is run here, and an answer that was interrupted goes on
// by itself where CONTINUE_INTERRUPTED says so (docs/operations.md, decision 0010).
import { listContinuable } from "@/db/turns";
import { isDatabaseAway } from "@/lib/database-away";
import { env } from "@/lib/env";
import { AppError } from "@/lib/errors";
import { turnLog } from "@/lib/log/turn-log";
import { logger } from "@/lib/logger";
import { repeat } from "@/lib/repeat";
import { isDraining } from "./drain";
import { execute } from "./execute";
import { startTurn } from "./start";

/** As the log's reaper: whoever waits for an answer learns of its end and of its continuation about as soon. */
const everyMs = 1_000;
/** At most this many a round, so that a round is short. */
const batchSize = 20;

/** To be called once, when the server's life begins. */
export function beginTakeovers(): void {
  turnLog().onOrphan(({ turnId, stored, ...turn }) => void execute({ id: turnId, ...turn }, stored));
  if (env().CONTINUE_INTERRUPTED === "auto") repeat(everyMs, continuer());
}

/** One round: every interrupted answer is continued once, by whichever server is first. The key of the new turn decides. */
function continuer(): () => Promise<void> {
  /** Refused for good, such as a model that is gone; forgotten with their turns' time. */
  let refused = new Set<string>();
  return async () => {
    if (isDraining()) return;
    const turns = await listContinuable(batchSize);
    refused = new Set(turns.map(({ id }) => id).filter((id) => refused.has(id)));
    for (const { id, userId, chatId, messageId } of turns) {
      if (refused.has(id)) continue;
      const request = { trigger: "continue-message", chatId, messageId, clientKey: `continue:${id}` } as const;
      try {
        // Kept alive by the drain, which waits for all live turns.
        await startTurn(userId, request, () => {});
      } catch (error) {
        if (isDatabaseAway(error)) throw error;
        // The user's other answers end, and so does the day.
        if (AppError.is(error) && error.status === 429) continue;
        refused.add(id);
        logger.warn({ err: error, turnId: id }, "an interrupted answer could not be continued");
      }
    }
  };
}
