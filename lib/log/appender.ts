// Group commit, one appender per process. Chunks of all live turns queue while a commit is in
// flight; when it returns, the next one starts. The commit rate is therefore bounded whatever the
// number of streams, and chunks get larger under load. A failed or unanswered commit is retried
// unchanged until the database answers.

import type { Sql } from "postgres";
import { BoundedClient } from "@/db/bounded-client";
import { type AppendResult, commitChunks, expireLeases, readPositions } from "@/db/log";
import { isDatabaseUnavailable } from "@/lib/database-unavailable";
import { type KillPoint, passKillPoint } from "@/lib/kill-points";
import { logger } from "@/lib/logger";
import type { HeldText } from "@/lib/next-commit";
import type { LoggedChunk } from "@/lib/turn/chunks";
import { maxCommitBytes, maxTextsPerCommit, urgentCommitsPerSecond } from "@/lib/turn/pacing";
import type { LogTiming } from "./durable-log";
import type { Tail } from "./tail";
import { type CommitQueue, type TakenRow, Writer } from "./writer";

/** Backoff between retries of a batch while the database is away. */
const retryMs = { first: 50, max: 1_000 };

type BatchEntry = { writer: Writer; row: TakenRow };

export class Appender implements CommitQueue {
  readonly writers = new Map<string, Writer>();
  readonly #timing: LogTiming;
  /**
   * A dedicated connection, so commits queue behind no request. Rows may be sent twice, as a
   * commit's answer can be lost.
   */
  readonly #client: BoundedClient;
  readonly #renewal: NodeJS.Timeout;
  #dirty = new Set<Writer>();
  #committing = false;
  #commitInFlight = Promise.resolve();
  #urgent = false;
  /** A commit is about to begin. */
  #commitImminent = false;
  #timer: NodeJS.Timeout | null = null;
  #held: { waiting: HeldText; sinceMs: number }[] = [];
  #holdTimer: NodeJS.Timeout | null = null;
  /** Number of further texts the upcoming commit can take. */
  #remainingTexts = 0;
  #lastStartMs = -Infinity;
  #urgentCredit = urgentCommitsPerSecond;
  #urgentAtMs = 0;
  #closed = false;

  constructor(timing: LogTiming) {
    this.#timing = timing;
    this.#client = new BoundedClient(1, timing.commitTimeoutMs);
    // A third of the lease: two renewals may be late before anyone takes over.
    this.#renewal = setInterval(() => this.renew(), timing.leaseMs / 3);
    this.#renewal.unref();
  }

  open(epoch: number, tail: Tail, stored: LoggedChunk[]): Writer {
    const writer = new Writer(epoch, tail, this, stored);
    this.writers.set(writer.turnId, writer);
    return writer;
  }

  /** Renews every lease with the next commit, which also reports stop requests. */
  renew(): void {
    for (const writer of this.writers.values()) this.schedule(writer, false);
  }

  /**
   * Expires these turns' leases so that others can take over immediately. Rejects if the database
   * is unreachable; the leases then run out by themselves.
   */
  async releaseLeases(writers: Writer[]): Promise<void> {
    for (const writer of writers) this.#remove(writer, "lost");
    // A commit in flight may renew their leases; later ones no longer include these turns.
    await this.#commitInFlight;
    if (writers.length > 0) await expireLeases(writers);
  }

  /** Turns not stored by now are abandoned: their leases run out. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#renewal);
    if (this.#holdTimer) clearTimeout(this.#holdTimer);
    for (const { waiting } of this.#held.splice(0)) {
      waiting.prepare();
      waiting.release();
    }
    for (const writer of this.writers.values()) this.#remove(writer, "lost");
    await this.#client.close(1);
  }

  schedule(writer: Writer, urgent: boolean): void {
    if (this.#closed) return;
    this.#dirty.add(writer);
    this.#urgent ||= urgent;
    this.#scheduleCommit();
  }

  /** See lib/next-commit.ts. */
  hold(waiting: HeldText): boolean {
    if (this.#closed) return false;
    if (!this.#committing && !this.#commitImminent && this.#commitDelayMs() <= 0) this.#startCommit();
    if (this.#commitImminent && this.#remainingTexts > 0) {
      this.#remainingTexts--;
      return false;
    }
    this.#held.push({ waiting, sinceMs: performance.now() });
    this.#holdTimer ??= setTimeout(() => this.#releaseHeld(() => {}), this.#timing.holdMs);
    // Deferred: `prepare` must not be called before this call has returned.
    if (!this.#timer) queueMicrotask(() => this.#scheduleCommit());
    return true;
  }

  /** Releases held texts; `then` runs at least one tick later. */
  #releaseHeld(then: () => void): void {
    if (this.#holdTimer) clearTimeout(this.#holdTimer);
    this.#holdTimer = null;
    const cutoffMs = performance.now() - this.#timing.holdMs;
    const firstInTime = this.#held.findIndex(({ sinceMs }) => sinceMs > cutoffMs);
    const released = this.#held.splice(
      0,
      Math.max(maxTextsPerCommit, firstInTime < 0 ? this.#held.length : firstInTime),
    );
    this.#remainingTexts = Math.max(0, maxTextsPerCommit - released.length);
    if (this.#held.length > 0) this.#holdTimer = setTimeout(() => this.#releaseHeld(() => {}), this.#timing.holdMs);
    for (const { waiting } of released) waiting.prepare();
    setImmediate(() => {
      if (released.length === 0) return then();
      // The event loop polls the network between these callbacks.
      setImmediate(() => {
        for (const { waiting } of released) waiting.release();
        setImmediate(then);
      });
    });
  }

  #commitDelayMs(): number {
    return Math.ceil(this.#lastStartMs + this.#timing.commitIntervalMs - performance.now());
  }

  #scheduleCommit(): void {
    if (this.#committing || this.#commitImminent || this.#dirty.size + this.#held.length === 0) return;
    const waitMs = this.#commitDelayMs();
    if (waitMs <= 0 || (this.#urgent && this.#takeUrgentCredit())) this.#startCommit();
    else this.#timer ??= setTimeout(() => this.#startCommit(), waitMs);
  }

  /**
   * The commit starts a few ticks later, so that it includes this tick's chunks and the texts
   * released now.
   */
  #startCommit(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    this.#commitImminent = true;
    this.#lastStartMs = performance.now();
    this.#releaseHeld(() => {
      this.#commitImminent = false;
      this.#commitInFlight = this.#commit();
    });
  }

  #takeUrgentCredit(): boolean {
    const nowMs = performance.now();
    const earned = ((nowMs - this.#urgentAtMs) / 1_000) * urgentCommitsPerSecond;
    this.#urgentCredit = Math.min(urgentCommitsPerSecond, this.#urgentCredit + earned);
    this.#urgentAtMs = nowMs;
    if (this.#urgentCredit < 1) return false;
    this.#urgentCredit -= 1;
    return true;
  }

  async #commit(): Promise<void> {
    // The released texts may have produced nothing to store.
    if (this.#dirty.size === 0) return this.#scheduleCommit();
    this.#committing = true;
    this.#urgent = false;
    const batch: BatchEntry[] = [];
    let bytes = 0;
    for (const writer of this.#dirty) {
      if (bytes > maxCommitBytes) break;
      bytes += writer.pendingBytes;
      this.#dirty.delete(writer);
      batch.push({ writer, row: writer.take() });
    }
    const storageLost = setTimeout(() => {
      for (const writer of this.writers.values()) writer.storageLost();
    }, this.#timing.maxOutageMs);
    await this.#store(batch);
    clearTimeout(storageLost);
    this.#committing = false;
    this.#scheduleCommit();
  }

  /**
   * Stores the batch, or as much of it as the database accepts. Resolves once every row's outcome
   * is known. Never rejects.
   */
  async #store(batch: BatchEntry[]): Promise<void> {
    const startMs = performance.now();
    for (let waitMs = retryMs.first; !this.#closed; waitMs = Math.min(waitMs * 2, retryMs.max)) {
      try {
        const stored = await this.#commitOnce(this.#client.sql, batch);
        if (process.env.CHAOS_BUILD === "on") passKillPoints(batch, "after-commit", "after-final-commit");
        for (const { writer, row } of batch) this.#settle(writer, row, stored.get(writer.turnId));
        return;
      } catch (error) {
        if (!isDatabaseUnavailable(error)) {
          await this.#storeIndividually(batch, error);
          return;
        }
        const awayMs = Math.round(performance.now() - startMs);
        logger.warn({ err: error, awayMs, turns: batch.length }, "the database is unreachable; the commit is retried");
        await new Promise((resolve) => setTimeout(resolve, waitMs));
      }
    }
  }

  /**
   * A statement that the database refuses must not block other turns: each row is tried alone, and
   * the culprit is ended.
   */
  async #storeIndividually(batch: BatchEntry[], error: unknown): Promise<void> {
    if (batch.length > 1) {
      for (const entry of batch) await this.#store([entry]);
      return;
    }
    const [{ writer }] = batch as [BatchEntry];
    logger.error({ err: error, turnId: writer.turnId }, "chunks could not be stored; the turn is abandoned");
    this.#remove(writer, "lost");
  }

  /** Maps each stored turn to whether a stop was requested. */
  async #commitOnce(sql: Sql, batch: BatchEntry[]): Promise<Map<string, boolean>> {
    const rows = batch.map(({ row }) => row);
    const results = await commit(sql, batch, this.#timing.leaseMs);
    const stored = new Map(results.map(({ turnId, stopRequested }) => [turnId, stopRequested]));
    const missing = rows.filter(({ turnId }) => !stored.has(turnId));
    if (missing.length === 0) return stored;
    // Either fenced off, or an earlier attempt committed and only its answer was lost.
    const found = await readPositions(
      sql,
      missing.map(({ turnId }) => turnId),
    );
    const positions = new Map(found.map((position) => [position.turnId, position]));
    for (const { turnId, epoch, lastSeq, final } of missing) {
      const position = positions.get(turnId);
      const isStored = position?.epoch === epoch && position.lastSeq === lastSeq && position.state === final?.state;
      if (isStored) stored.set(turnId, false);
    }
    return stored;
  }

  #settle(writer: Writer, row: TakenRow, stopRequested: boolean | undefined): void {
    if (stopRequested === undefined) {
      this.#remove(writer, "lost");
      return;
    }
    writer.committed(row);
    if (row.final) this.#remove(writer, "stored");
    else if (stopRequested) writer.halt({ status: "stopped" });
  }

  #remove(writer: Writer, outcome: "stored" | "lost"): void {
    this.writers.delete(writer.turnId);
    this.#dirty.delete(writer);
    writer.finish(outcome);
  }
}

async function commit(sql: Sql, batch: BatchEntry[], leaseMs: number): Promise<AppendResult[]> {
  const rows = batch.map(({ row }) => row);
  if (process.env.CHAOS_BUILD !== "on") return commitChunks(sql, rows, leaseMs);
  passKillPoints(batch, "before-insert", "before-final-commit");
  // Two statements in a transaction give the kill point a moment between insert and commit.
  return sql.begin(async (transaction) => {
    const results = await commitChunks(transaction, rows, leaseMs);
    passKillPoints(batch, "after-insert");
    return results;
  }) as Promise<AppendResult[]>;
}

function passKillPoints(batch: BatchEntry[], stores: KillPoint, ends?: KillPoint): void {
  if (batch.some(({ row }) => row.chunks.length > 0)) passKillPoint(stores);
  if (ends && batch.some(({ row }) => row.final)) passKillPoint(ends);
}
