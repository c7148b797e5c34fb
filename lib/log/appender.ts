// The group commit: one appender a process. While a commit is under way the chunks of all live turns gather; when it
// returns the next one starts. So commits a second are bounded whatever the number of streams, and the busier the
// machine the larger the chunks. A commit that fails is repeated as it is until the database answers.

import { pool } from "@/db/client";
import { type AppendRow, commitChunks, readPositions } from "@/db/log";
import { isDatabaseAway } from "@/lib/database-away";
import { logger } from "@/lib/logger";
import type { LoggedChunk } from "@/lib/turn/chunks";
import type { Writer } from "./writer";

/** One commit starts at the earliest this long after the one before: at most 40 a second. */
const commitIntervalMs = 25;
/** A turn's first text does not wait for the interval, up to this many times a second: 45 commits a second in all. */
const urgentPerSecond = 5;
/** Retries of the same batch while the database is away. */
const retryMs = { first: 50, most: 1_000 };
/** Past this a turn whose chunks cannot be stored is told to end. */
const storageAwayMs = 30_000;

export class Appender {
  readonly writers = new Map<string, Writer>();
  readonly #leaseMs: number;
  readonly #onCommitted: (turnId: string, logged: LoggedChunk[]) => void;
  readonly #onGone: (writer: Writer, outcome: "stored" | "lost") => void;
  readonly #renewal: NodeJS.Timeout;
  #dirty = new Set<Writer>();
  #committing = false;
  #timer: NodeJS.Timeout | null = null;
  #lastStartMs = -Infinity;
  #urgentCredit = urgentPerSecond;
  #urgentAtMs = 0;

  constructor(
    leaseMs: number,
    onCommitted: (turnId: string, logged: LoggedChunk[]) => void,
    onGone: (writer: Writer, outcome: "stored" | "lost") => void,
  ) {
    this.#leaseMs = leaseMs;
    this.#onCommitted = onCommitted;
    this.#onGone = onGone;
    // A third of the lease: two renewals may be late before anybody takes over.
    this.#renewal = setInterval(() => {
      for (const writer of this.writers.values()) this.schedule(writer, false);
    }, leaseMs / 3);
    this.#renewal.unref();
  }

  add(writer: Writer): void {
    this.writers.set(writer.turnId, writer);
  }

  close(): void {
    clearInterval(this.#renewal);
  }

  /** Puts the writer into the next commit. `urgent`: its first text, which a person is waiting for. */
  schedule(writer: Writer, urgent: boolean): void {
    this.#dirty.add(writer);
    if (this.#committing) return;
    const waitMs = this.#lastStartMs + commitIntervalMs - performance.now();
    if (waitMs <= 0 || (urgent && this.#takeUrgentCredit())) this.#arm(0);
    else this.#arm(waitMs);
  }

  #takeUrgentCredit(): boolean {
    const nowMs = performance.now();
    const earned = ((nowMs - this.#urgentAtMs) / 1_000) * urgentPerSecond;
    this.#urgentCredit = Math.min(urgentPerSecond, this.#urgentCredit + earned);
    this.#urgentAtMs = nowMs;
    if (this.#urgentCredit < 1) return false;
    this.#urgentCredit -= 1;
    return true;
  }

  /** Even without waiting the commit starts a tick later, so that whatever happens in this tick shares it. */
  #arm(waitMs: number): void {
    if (this.#timer && waitMs > 0) return;
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      void this.#commit();
    }, waitMs);
  }

  async #commit(): Promise<void> {
    if (this.#committing || this.#dirty.size === 0) return;
    this.#committing = true;
    this.#lastStartMs = performance.now();
    const writers = [...this.#dirty];
    this.#dirty = new Set();
    try {
      await this.#store(writers.map((writer) => ({ writer, row: writer.take() })));
    } finally {
      this.#committing = false;
      if (this.#dirty.size > 0) this.#arm(Math.max(0, this.#lastStartMs + commitIntervalMs - performance.now()));
    }
  }

  /** Stores the batch, or what of it the database will take. Returns when each row's fate is known. */
  async #store(batch: Taken[]): Promise<void> {
    const startMs = performance.now();
    let waitMs = retryMs.first;
    for (;;) {
      try {
        const allowed = await this.#commitOnce(batch);
        for (const { writer, row } of batch) this.#settle(writer, row, allowed.get(writer.turnId));
        return;
      } catch (error) {
        if (!isDatabaseAway(error)) {
          await this.#storeApart(batch, error);
          return;
        }
        const awayMs = performance.now() - startMs;
        logger.warn(
          { err: error, awayMs: Math.round(awayMs), turns: batch.length },
          "database away, commit is repeated",
        );
        if (awayMs > storageAwayMs) for (const writer of this.writers.values()) writer.storageLost();
        await new Promise((resolve) => setTimeout(resolve, waitMs));
        waitMs = Math.min(waitMs * 2, retryMs.most);
      }
    }
  }

  /** A statement the database refuses must not hold up the other turns: each is tried alone, the culprit ends. */
  async #storeApart(batch: Taken[], error: unknown): Promise<void> {
    if (batch.length > 1) {
      for (const taken of batch) await this.#store([taken]);
      return;
    }
    const [{ writer }] = batch as [Taken];
    logger.error({ err: error, turnId: writer.turnId }, "chunks could not be stored, the turn is given up");
    this.#drop(writer, "lost");
  }

  /** Which turns the commit was good for, and whether somebody asked them to stop. */
  async #commitOnce(batch: Taken[]): Promise<Map<string, boolean>> {
    const allowed = new Map<string, boolean>();
    for (const { turnId, stopRequested } of await commitChunks(
      pool().sql,
      batch.map(({ row }) => row),
      this.#leaseMs,
    ))
      allowed.set(turnId, stopRequested);
    const missing = batch.filter(({ row }) => !allowed.has(row.turnId));
    if (missing.length > 0) {
      // Either fenced off, or an earlier try did commit and only its answer was lost.
      const positions = new Map((await readPositions(missing.map(({ row }) => row.turnId))).map((p) => [p.turnId, p]));
      for (const { row } of missing) {
        const position = positions.get(row.turnId);
        const ours =
          position?.epoch === row.epoch && position.lastSeq === row.lastSeq && position.state === row.final?.state;
        if (ours) allowed.set(row.turnId, false);
      }
    }
    return allowed;
  }

  #settle(writer: Writer, row: AppendRow, stopRequested: boolean | undefined): void {
    if (stopRequested === undefined) {
      this.#drop(writer, "lost");
      return;
    }
    const logged = writer.committed(row);
    if (logged.length > 0) this.#onCommitted(writer.turnId, logged);
    if (row.final) this.#drop(writer, "stored");
    else if (stopRequested) writer.halt({ status: "stopped" });
  }

  #drop(writer: Writer, outcome: "stored" | "lost"): void {
    this.writers.delete(writer.turnId);
    this.#dirty.delete(writer);
    this.#onGone(writer, outcome);
    writer.finish(outcome);
  }
}

type Taken = { writer: Writer; row: AppendRow };
