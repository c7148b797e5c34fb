// When the log takes what is said next. Between two commits it takes nothing, so text that comes meanwhile may be gathered
// where it costs least, and nobody reads it any later. Only this word passes here, no text; storage never depends on it.

/**
 * Keeps `release` and calls it once, after this call has returned: just before a commit gathers its chunks, the longest kept
 * first, a bounded number each time. False, and `release` is forgotten, when that is now.
 */
export type HoldUntilCommit = (release: () => void) => boolean;

// On globalThis because Next bundles each route apart.
const key = Symbol.for("rivulet.next-commit");
const shared = globalThis as { [key]?: HoldUntilCommit };

/** Of the log of this process; without one nothing is held. */
export const holdUntilCommit: HoldUntilCommit = (release) => shared[key]?.(release) ?? false;

/** The log says how; nothing when it closes. */
export function setHoldUntilCommit(hold: HoldUntilCommit | undefined): void {
  shared[key] = hold;
}
