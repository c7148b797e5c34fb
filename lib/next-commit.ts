// The log's port for text sources that wait for its next commit. Between two commits the log stores
// nothing, so text can be buffered where that is cheapest, and no reader gets it later. Only the
// signal passes here, no text; storage never depends on it. Types only.

/**
 * A source waiting for a commit. Both are called once, after `hold` has returned, the longest
 * waiting first, a bounded number per commit.
 */
export type HeldText = {
  /** A commit is imminent: data that can be read now may join it. */
  prepare(): void;
  /** The network has been polled once more: forward what has arrived. */
  release(): void;
};

/**
 * False if the text need not wait: a commit with room for it is imminent, or the log is closed.
 * `waiting` is then dropped.
 */
export type HoldUntilCommit = (waiting: HeldText) => boolean;
