// Indexes messages for search in the background shortly after they are written, including those of
// older versions. The statement that writes a message pays nothing for it (decision 0018).
import { setTimeout as delay } from "node:timers/promises";
import { indexMessages } from "@/db/chat-search";
import { isDatabaseUnavailable } from "@/lib/database-unavailable";
import { logger } from "@/lib/logger";
import { isDraining } from "@/lib/services/turns/drain";

/** Nobody searches for what was said a second ago. */
const pollMs = 1_000;
const retryMs = 10_000;
/** Keeps row locks and event loop pauses to a few milliseconds per batch. */
const batchSize = 50;

/** Call once the indexes of db/indexes.ts exist: the query for unindexed messages needs one. */
export async function keepIndexingMessages(): Promise<void> {
  while (!isDraining()) {
    try {
      while (!isDraining() && (await indexMessages(batchSize)) === batchSize);
      await delay(pollMs, undefined, { ref: false });
    } catch (error) {
      // An unreachable database is logged elsewhere.
      const level = isDatabaseUnavailable(error) ? "debug" : "warn";
      logger[level]({ err: error }, "new messages are not searchable yet; will retry");
      await delay(retryMs, undefined, { ref: false });
    }
  }
}
