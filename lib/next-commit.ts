// When the log takes what is said next. Between two commits it takes nothing, so text that comes meanwhile may be gathered
// where it costs least, and nobody reads it any later. Only this word passes here, no text; storage never depends on it.

/** What waits for a commit. The calls come once each, after `hold` has returned, the longest kept first, a bounded number for a commit. */
export type Waiting = {
  /** A commit is about to begin: what can be read now may go with it. */
  prepare(): void;
  /** After the network was looked at once more: what is here goes on now. */
  release(): void;
};

/** False, and `waiting` is forgotten, when a commit is about to begin already. */
export type HoldUntilCommit = (waiting: Waiting) => boolean;

// On globalThis because Next bundles each route apart.
const key = Symbol.for("rivulet.next-commit");
const shared = globalThis as { [key]?: HoldUntilCommit };

/** Of the log of this process; without one nothing is held. */
export const holdUntilCommit: HoldUntilCommit = (waiting) => shared[key]?.(waiting) ?? false;

/** The log says how; nothing when it closes. */
export function setHoldUntilCommit(hold: HoldUntilCommit | undefined): void {
  shared[key] = hold;
}
