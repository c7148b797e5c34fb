// The contract of the durable log. Writer and readers never meet: a writer appends, every reader follows from a
// cursor, and a chunk reaches a reader only after the transaction that stored it committed (docs/protocol.md §2).
// What a chunk means must never come here.
import type { LoggedChunk, TurnChunk } from "@/lib/turn/chunks";
import type { Halt } from "@/lib/turn/run";

export interface LogWriter {
  /**
   * Takes the next chunk. Adjacent deltas may be joined until they are stored. The terminal also stores the folded
   * message and the turn's state, in the same transaction. A promise comes back when too much waits to be stored:
   * await it before appending more. Once the turn is lost (`ended` says so) appending does nothing.
   */
  append(chunk: TurnChunk): Promise<void> | undefined;
  /** Aborts with a `Halt` when somebody asked to stop, storage failed, or the server must go. */
  readonly signal: AbortSignal;
  /** Asks the run to end. The first call wins. */
  halt(halt: Halt): void;
  /** Settles once the terminal is stored, or the turn was taken over by another process. Never rejects. */
  readonly ended: Promise<"stored" | "lost">;
}

export interface LogReader {
  /**
   * The next committed chunks, in order, without hole or repeat; waits for them. Null when nothing can come any more:
   * the terminal was returned, or lies before the cursor, or the turn is deleted; and after `close`.
   * Pull it: at most one page is read ahead of the reader. One call at a time. While the database is away it waits.
   */
  next(): Promise<LoggedChunk[] | null>;
  /** Lets go. A waiting `next` answers null. */
  close(): void;
}

/**
 * A running turn whose owner died, claimed for this process: its lease is fresh, its epoch raised. Of the answer itself
 * nothing was stored; `stored` is how its log begins.
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
  /** Begins writing a turn whose row exists, with this epoch, behind all that its log holds. One writer a turn and epoch. */
  open(turnId: string, epoch: number, stored?: LoggedChunk[]): LogWriter;
  /** Follows a turn from behind `afterSeq` (0 = from its start), whoever writes it, also when it has ended. */
  read(turnId: string, afterSeq: number): LogReader;
  /** Asks the owner, in whichever process, to stop. True when the turn was running. */
  requestStop(turnId: string): Promise<boolean>;
  /**
   * Calls `onChange` soon after a turn of this chat began or ended, on whichever server; when in doubt it is called once too
   * often, never once too seldom. It says nothing about what happened, and must not throw. Returns how to stop.
   */
  watchChat(userId: string, chatId: string, onChange: () => void): () => void;
  /**
   * Names who runs turns that lost their owner before anything of the answer was stored. `run` must open the turn at once and
   * not throw. Without it such turns are ended like others.
   */
  onOrphan(run: (orphan: Orphan) => void): void;
  /** The turns this process writes. */
  readonly liveCount: number;
  /** Readers that are open here, and the tails that they share. */
  readonly openCounts: { readers: number; tails: number };
  /** For shutdown: lets all readers go without a terminal, so that they move on, and leaves dead owners' turns to others. */
  releaseReaders(): void;
  /**
   * For shutdown: waits at most `timeoutMs` for live turns, then stops listening. What still runs is ended as interrupted; a
   * turn of whose answer nothing came is given up, so that another process takes it over at once.
   */
  close(timeoutMs: number): Promise<void>;
}

export type LogTiming = {
  /** How long a turn belongs to a process that says nothing. */
  leaseMs: number;
  /** Past this a turn whose chunks cannot be stored is told to end. */
  storageAwayMs: number;
  /** A commit without an answer for this long is tried on another connection. */
  answerMs: number;
  /** How often a process makes sure that notifications reach it. */
  listenCheckMs: number;
  /** Text that waited for a commit for so long goes on in any case (lib/next-commit.ts). */
  holdMs: number;
};
