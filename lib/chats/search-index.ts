// Makes messages searchable in the background, a moment after they are written, and those of older versions. The statement that
// writes a message pays nothing for it (decision 0018).
import { setTimeout as delay } from "node:timers/promises";
import { indexMessages } from "@/db/chat-search";
import { isDatabaseAway } from "@/lib/database-away";
import { logger } from "@/lib/logger";
import { isDraining } from "./drain";

/** A person does not search for what was said a second ago. */
const pollMs = 1_000;
const retryMs = 10_000;
/** Small enough that a batch holds its rows, and the event loop, for some milliseconds only. */
const batchSize = 50;

/** Call when the indexes of db/indexes.ts are built: the search for unindexed messages needs one. */
export async function keepIndexingMessages(): Promise<void> {
  while (!isDraining()) {
    try {
      while (!isDraining() && (await indexMessages(batchSize)) === batchSize);
      await delay(pollMs, undefined, { ref: false });
    } catch (error) {
      // A database that is away is logged elsewhere.
      const level = isDatabaseAway(error) ? "debug" : "warn";
      logger[level]({ err: error }, "new messages are not searchable yet, the next try follows");
      await delay(retryMs, undefined, { ref: false });
    }
  }
}
