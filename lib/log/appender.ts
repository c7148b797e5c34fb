// The group commit: one appender a process. While a commit is under way the chunks of all live turns gather; when it
// returns the next one starts. So commits a second are bounded whatever the number of streams, and the busier the
// machine the larger the chunks. A commit that fails, or is not answered, is repeated as it is until the database answers.

import type { Sql } from "postgres";
import { BoundedClient } from "@/db/bounded-client";
import { type AppendResult, type AppendRow, commitChunks, expireLeases, readPositions } from "@/db/log";
import { isDatabaseAway } from "@/lib/database-away";
import { type KillPoint, passKillPoint } from "@/lib/kill-points";
import { logger } from "@/lib/logger";
import type { Waiting } from "@/lib/next-commit";
import type { LoggedChunk } from "@/lib/turn/chunks";
import type { LogTiming } from "./contract";
import type { Writer } from "./writer";

/** One commit starts at the earliest this long after the one before: at most 40 a second. */
const commitIntervalMs = 25;
/** A turn's first text does not wait for the interval, up to this many times a second: no storm of turns makes more than 70 commits. */
const urgentPerSecond = 30;
/**
 * Texts that go on with one commit, the longest held first: with 40 commits a second 3,000, which is three quarters of a core from the
 * provider's socket to the reader's. With more streams than that each has more to say at its turn: 500 come round in 170 ms. Those that
 * have waited for `holdMs` go on beyond it, or a busy process would fall behind by one round after the other.
 */
const maxTexts = 75;
/** Bounds one statement after an outage, when every turn has as much to store as it may hold back. */
const maxCommitBytes = 8_388_608;
/** Retries of the same batch while the database is away. */
const retryMs = { first: 50, most: 1_000 };

type Taken = { writer: Writer; row: AppendRow };

export class Appender {
  readonly writers = new Map<string, Writer>();
  readonly #timing: LogTiming;
  readonly #onCommitted: (turnId: string, logged: LoggedChunk[]) => void;
  readonly #onGone: (writer: Writer) => void;
  /** Of its own: a commit queues behind no request. What it stores may be stored twice, as its answer may be lost. */
  readonly #client: BoundedClient;
  readonly #renewal: NodeJS.Timeout;
  #dirty = new Set<Writer>();
  #committing = false;
  #commitUnderWay = Promise.resolve();
  #urgent = false;
  /** A commit is about to begin. */
  #soon = false;
  #timer: NodeJS.Timeout | null = null;
  #held: { waiting: Waiting; sinceMs: number }[] = [];
  #holdTimer: NodeJS.Timeout | null = null;
  /** For so many texts more in the commit that is about to begin. */
  #room = 0;
  #lastStartMs = -Infinity;
  #urgentCredit = urgentPerSecond;
  #urgentAtMs = 0;
  #closed = false;

  constructor(
    timing: LogTiming,
    onCommitted: (turnId: string, logged: LoggedChunk[]) => void,
    onGone: (writer: Writer) => void,
  ) {
    this.#timing = timing;
    this.#onCommitted = onCommitted;
    this.#onGone = onGone;
    this.#client = new BoundedClient(1, timing.answerMs);
    // A third of the lease: two renewals may be late before anybody takes over.
    this.#renewal = setInterval(() => this.renew(), timing.leaseMs / 3);
    this.#renewal.unref();
  }

  add(writer: Writer): void {
    this.writers.set(writer.turnId, writer);
  }

  /** Renews every lease with the next commit, which also tells whether somebody asked a turn to stop. */
  renew(): void {
    for (const writer of this.writers.values()) this.schedule(writer, false);
  }

  /** Lets go of these turns, so that others may take them over at once. Rejects when the database cannot be told: their leases run out. */
  async giveUp(writers: Writer[]): Promise<void> {
    for (const writer of writers) this.#drop(writer, "lost");
    // It may renew their leases; those after it know nothing of them.
    await this.#commitUnderWay;
    if (writers.length > 0) await expireLeases(writers);
  }

  /** Turns that are not stored by now are given up: their leases run out. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#renewal);
    if (this.#holdTimer) clearTimeout(this.#holdTimer);
    for (const { waiting } of this.#held.splice(0)) {
      waiting.prepare();
      waiting.release();
    }
    for (const writer of this.writers.values()) this.#drop(writer, "lost");
    await this.#client.close(1);
  }

  /** Puts the writer into the next commit. `urgent`: its first text, which a person is waiting for. */
  schedule(writer: Writer, urgent: boolean): void {
    if (this.#closed) return;
    this.#dirty.add(writer);
    this.#urgent ||= urgent;
    this.#arm();
  }

  /** See lib/next-commit.ts. */
  hold(waiting: Waiting): boolean {
    if (this.#closed) return false;
    if (!this.#committing && !this.#soon && this.#waitMs() <= 0) this.#begin();
    if (this.#soon && this.#room > 0) {
      this.#room--;
      return false;
    }
    this.#held.push({ waiting, sinceMs: performance.now() });
    this.#holdTimer ??= setTimeout(() => this.#letGo(() => {}), this.#timing.holdMs);
    // Later: nothing must be asked for before it is known to be kept.
    if (!this.#timer) queueMicrotask(() => this.#arm());
    return true;
  }

  /** `then` follows at the earliest a tick later. */
  #letGo(then: () => void): void {
    if (this.#holdTimer) clearTimeout(this.#holdTimer);
    this.#holdTimer = null;
    const late = performance.now() - this.#timing.holdMs;
    const inTime = this.#held.findIndex(({ sinceMs }) => sinceMs > late);
    const going = this.#held.splice(0, Math.max(maxTexts, inTime < 0 ? this.#held.length : inTime));
    this.#room = Math.max(0, maxTexts - going.length);
    if (this.#held.length > 0) this.#holdTimer = setTimeout(() => this.#letGo(() => {}), this.#timing.holdMs);
    for (const { waiting } of going) waiting.prepare();
    setImmediate(() => {
      if (going.length === 0) return then();
      // Between two of these callbacks the network is looked at.
      setImmediate(() => {
        for (const { waiting } of going) waiting.release();
        setImmediate(then);
      });
    });
  }

  #waitMs(): number {
    return Math.ceil(this.#lastStartMs + commitIntervalMs - performance.now());
  }

  #arm(): void {
    if (this.#committing || this.#soon || this.#dirty.size + this.#held.length === 0) return;
    const waitMs = this.#waitMs();
    if (waitMs <= 0 || (this.#urgent && this.#takeUrgentCredit())) this.#begin();
    else this.#timer ??= setTimeout(() => this.#begin(), waitMs);
  }

  /** The commit starts some ticks later, so that whatever happens in this one, and what is let go now, shares it. */
  #begin(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    this.#soon = true;
    this.#lastStartMs = performance.now();
    this.#letGo(() => {
      this.#soon = false;
      this.#commitUnderWay = this.#commit();
    });
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

  async #commit(): Promise<void> {
    // What was let go may have been nothing to store.
    if (this.#dirty.size === 0) return this.#arm();
    this.#committing = true;
    this.#urgent = false;
    const batch: Taken[] = [];
    let bytes = 0;
    for (const writer of this.#dirty) {
      if (bytes > maxCommitBytes) break;
      bytes += writer.pendingBytes;
      this.#dirty.delete(writer);
      batch.push({ writer, row: writer.take() });
    }
    const storageLost = setTimeout(() => {
      for (const writer of this.writers.values()) writer.storageLost();
    }, this.#timing.storageAwayMs);
    await this.#store(batch);
    clearTimeout(storageLost);
    this.#committing = false;
    this.#arm();
  }

  /** Stores the batch, or what of it the database will take. Returns when each row's fate is known. Never rejects. */
  async #store(batch: Taken[]): Promise<void> {
    const startMs = performance.now();
    for (let waitMs = retryMs.first; !this.#closed; waitMs = Math.min(waitMs * 2, retryMs.most)) {
      try {
        const allowed = await this.#commitOnce(this.#client.sql, batch);
        if (process.env.CHAOS_BUILD === "on") passCommit(batch, "after-commit", "after-final-commit");
        for (const { writer, row } of batch) this.#settle(writer, row, allowed.get(writer.turnId));
        return;
      } catch (error) {
        if (!isDatabaseAway(error)) {
          await this.#storeApart(batch, error);
          return;
        }
        const awayMs = Math.round(performance.now() - startMs);
        logger.warn({ err: error, awayMs, turns: batch.length }, "database away, commit is repeated");
        await new Promise((resolve) => setTimeout(resolve, waitMs));
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
  async #commitOnce(sql: Sql, batch: Taken[]): Promise<Map<string, boolean>> {
    const rows = batch.map(({ row }) => row);
    const results = await commit(sql, batch, this.#timing.leaseMs);
    const allowed = new Map(results.map(({ turnId, stopRequested }) => [turnId, stopRequested]));
    const missing = rows.filter(({ turnId }) => !allowed.has(turnId));
    if (missing.length === 0) return allowed;
    // Either fenced off, or an earlier try did commit and only its answer was lost.
    const found = await readPositions(
      sql,
      missing.map(({ turnId }) => turnId),
    );
    const positions = new Map(found.map((position) => [position.turnId, position]));
    for (const { turnId, epoch, lastSeq, final } of missing) {
      const position = positions.get(turnId);
      const ours = position?.epoch === epoch && position.lastSeq === lastSeq && position.state === final?.state;
      if (ours) allowed.set(turnId, false);
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
    this.#onGone(writer);
    writer.finish(outcome);
  }
}

async function commit(sql: Sql, batch: Taken[], leaseMs: number): Promise<AppendResult[]> {
  const rows = batch.map(({ row }) => row);
  if (process.env.CHAOS_BUILD !== "on") return commitChunks(sql, rows, leaseMs);
  passCommit(batch, "before-insert", "before-final-commit");
  // In a transaction of two statements there is a moment between inserting and committing to die at.
  return sql.begin(async (transaction) => {
    const results = await commitChunks(transaction, rows, leaseMs);
    passCommit(batch, "after-insert");
    return results;
  }) as Promise<AppendResult[]>;
}

function passCommit(batch: Taken[], stores: KillPoint, ends?: KillPoint): void {
  if (batch.some(({ row }) => row.chunks.length > 0)) passKillPoint(stores);
  if (ends && batch.some(({ row }) => row.final)) passKillPoint(ends);
}
