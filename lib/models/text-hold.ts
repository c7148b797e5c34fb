// Passes the log's port for held text (lib/next-commit.ts) from a run to the HTTP layer of its
// calls. It is matched by the abort signal, the one thing that adapters pass through unchanged.
import type { HoldUntilCommit } from "@/lib/next-commit";
import { processSingleton } from "@/lib/process-singletons";

const holds = processSingleton("text-holds", () => new WeakMap<AbortSignal, HoldUntilCommit>());

/** Calls with this signal hold their text with `hold`. */
export function attachHold(signal: AbortSignal, hold: HoldUntilCommit): void {
  holds().set(signal, hold);
}

/** What was attached to the signal; else nothing is held. */
export function holdOf(signal: AbortSignal | null | undefined): HoldUntilCommit {
  return (signal && holds().get(signal)) || holdNothing;
}

const holdNothing: HoldUntilCommit = () => false;
