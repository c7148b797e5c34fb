// The contract of the durable log. Writer and readers never meet: a writer appends, every reader
// follows from a cursor, and a reader sees a chunk only after the transaction that stored it has
// committed (docs/protocol.md §2). The log must never depend on what a chunk means.
import type { HoldUntilCommit } from "@/lib/next-commit";
import type { LoggedChunk, TurnChunk } from "@/lib/turn/chunks";
import type { Halt } from "@/lib/turn/run-input";

export interface LogWriter {
  /**
   * Appends the next chunk. Adjacent deltas may be joined until stored. The terminal also stores
   * the folded message and the turn's state, in the same transaction. Returns a promise when too
   * much is waiting to be stored: await it before appending more. Once the turn is lost (see
   * `ended`), appending does nothing.
   */
  append(chunk: TurnChunk): Promise<void> | undefined;
  /** Aborts with a `Halt` on a stop request, a storage failure or a shutdown. */
  readonly signal: AbortSignal;
  /** Asks the run to end. The first call wins. */
  halt(halt: Halt): void;
  /**
   * Settles once the terminal is stored or another process has taken the turn over. Never rejects.
   */
  readonly ended: Promise<"stored" | "lost">;
}

export interface LogReader {
  /**
   * Waits for and returns the next committed chunks, in order, without gap or repeat. Null once
   * nothing more can come: the terminal was returned or precedes the cursor, the turn was deleted,
   * or the reader was closed. Pull-based: at most one page is read ahead. One call at a time. Waits
   * while the database is away.
   */
  next(): Promise<LoggedChunk[] | null>;
  /** Releases the reader. A pending `next` resolves to null. */
  close(): void;
}

/**
 * A running turn whose owner died, claimed by this process with a fresh lease and a raised epoch.
 * None of the answer was stored, or its provider keeps it; `stored` is its log prefix.
 */
export type Orphan = {
  turnId: string;
  userId: string;
  chatId: string;
  userMessageId: string;
  messageId: string;
  request: unknown;
  createdAt: Date;
  epoch: number;
  stored: LoggedChunk[];
};

export interface TurnLog {
  /**
   * Starts writing an existing turn at this epoch, after everything in its log. One writer per turn
   * and epoch.
   */
  open(turnId: string, epoch: number, stored?: LoggedChunk[]): LogWriter;
  /**
   * Reads a turn after `afterSeq` (0 = from its start), whichever process writes it, including
   * ended turns.
   */
  read(turnId: string, afterSeq: number): LogReader;
  /** Asks the owner, in any process, to stop. True if the turn was running. */
  requestStop(turnId: string): Promise<boolean>;
  /**
   * Calls `onChange` soon after a turn of this chat began or ended, on any server. May fire
   * spuriously; never misses a change. `onChange` gets no details and must not throw. Returns the
   * unsubscribe function.
   */
  watchChat(userId: string, chatId: string, onChange: () => void): () => void;
  /**
   * Registers who runs a turn again after it lost its owner: one without any of its answer stored,
   * or whose provider keeps the answer. `run` must open the turn synchronously and must not throw.
   * Without it such turns are ended like any others.
   */
  onOrphan(run: (orphan: Orphan) => void): void;
  /** Announces the next commit to sources whose text waits for it. Needs no `this`. */
  readonly hold: HoldUntilCommit;
  /** Number of turns this process writes. */
  readonly liveCount: number;
  /** Readers open in this process, and the tails they share. */
  readonly openCounts: { readers: number; tails: number };
  /**
   * For shutdown: ends all readers without a terminal, so that clients reconnect elsewhere, and
   * stops taking over turns.
   */
  releaseReaders(): void;
  /**
   * For shutdown: waits up to `timeoutMs` for live turns, then stops listening. Turns still running
   * end as interrupted; one without any answer yet, or whose provider keeps it, is given up
   * instead, so that another process takes it over immediately.
   */
  close(timeoutMs: number): Promise<void>;
}

export type LogTiming = {
  /** How long a turn belongs to an owner that does not renew. */
  leaseMs: number;
  /** A turn whose chunks cannot be stored for this long is halted. */
  maxOutageMs: number;
  /** A commit unanswered for this long is retried on another connection. */
  commitTimeoutMs: number;
  /** Between the starts of two commits, unless text is urgent. */
  commitIntervalMs: number;
  /** Interval of the check that notifications arrive. */
  listenCheckMs: number;
  /** Text held this long for a commit is released regardless (lib/next-commit.ts). */
  holdMs: number;
};
