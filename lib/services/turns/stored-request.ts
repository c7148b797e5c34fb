// What a turn's row keeps of its request: enough to run the turn again on another server, and to
// show it in any format. The messages have their own rows. Field names are those of stored rows.
import type { SearchMode } from "@/lib/turn/chunks";
import type { TurnCall, TurnInput, TurnPrompt } from "@/lib/turn/turn-input";

export type StoredRequest = Pick<TurnInput, "documentIds" | "view" | "canAsk"> & {
  /** Catalogue id. */
  model: string;
  /** The name by which the client knows the model. */
  modelName?: string;
  searchMode: SearchMode;
  prompt?: Omit<TurnPrompt, "messages">;
  /** The client's call options in a chat whose history the server holds. */
  call?: TurnCall;
  /** As of the turn's start. */
  chatTitle?: string;
  /** The client's id for the question, if stored under another. */
  questionName?: string;
  /** The answer this turn continues. */
  continues?: string;
  /** Length of the log prefix: those chunks are not this turn's own answer. */
  begunSeq?: number;
};

export function storedRequestOf({ request }: { request: unknown }): StoredRequest {
  return request as StoredRequest;
}
