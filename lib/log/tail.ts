// This process's view of one turn's log: a window over its latest committed chunks, shared by all
// local readers. Fed by the group commit if the turn is written here, else by one read for all
// waiting readers. A reader that falls behind the window reads the database itself and delays
// nobody.
import { readPages, type TurnPage } from "@/db/log";
import { isDatabaseUnavailable } from "@/lib/database-unavailable";
import { isTerminal, type LoggedChunk, type TurnChunk } from "@/lib/turn/chunks";
import { maxBatchBytes, maxWindowBytes } from "@/lib/turn/pacing";
import type { LogReader } from "./durable-log";

/** Retry delay of a reader behind the window while the database is away. */
const retryMs = 1_000;

export interface TailOwner {
  /** A reader waits, and the database may hold newer chunks: read them. */
  pull(tail: Tail): void;
  /** Neither read nor written any more. */
  drop(tail: Tail): void;
}

export class Tail {
  readonly turnId: string;
  readonly readers = new Set<TailReader>();
  readonly #owner: TailOwner;
  /** This process writes the turn: commits feed the window and no read is needed. */
  #local = false;
  #mayHaveMore = true;
  #ended = false;
  #window: LoggedChunk[] = [];
  #bytes = 0;
  #lastSeq: number;

  constructor(turnId: string, lastSeq: number, owner: TailOwner) {
    this.turnId = turnId;
    this.#lastSeq = lastSeq;
    this.#owner = owner;
  }

  /** Last committed seq known here. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  /** True if nothing follows `lastSeq`. */
  get ended(): boolean {
    return this.#ended;
  }

  /** From now on this process writes the turn, after `stored`. */
  startWriting(stored: LoggedChunk[]): void {
    this.push(stored);
    this.#local = true;
  }

  stopWriting(): void {
    this.#local = false;
    this.hint();
    this.#dropIfUnused();
  }

  remove(reader: TailReader): void {
    this.readers.delete(reader);
    this.#dropIfUnused();
  }

  #dropIfUnused(): void {
    if (this.readers.size === 0 && !this.#local) this.#owner.drop(this);
  }

  /** Adds committed chunks; ignores known ones and never accepts a gap. */
  push(logged: LoggedChunk[]): void {
    for (const entry of logged) {
      if (entry.seq !== this.#lastSeq + 1) continue;
      this.#lastSeq = entry.seq;
      this.#window.push(entry);
      this.#bytes += entry.json.length;
    }
    while (this.#bytes > maxWindowBytes && this.#window.length > 1)
      this.#bytes -= this.#window.shift()?.json.length ?? 0;
    for (const reader of this.readers) reader.wake();
  }

  /** The database may have newer chunks. Reads now if a reader waits, else when one does. */
  hint(): void {
    this.#mayHaveMore = true;
    if ([...this.readers].some((reader) => reader.waiting)) this.requestRead();
  }

  /** A reader is up to date and waits. */
  requestRead(): void {
    if (this.#mayHaveMore && !this.#local) this.#owner.pull(this);
  }

  /** A hint that arrives after this may concern chunks the read will miss. */
  beginRead(): void {
    this.#mayHaveMore = false;
  }

  endRead(page: TurnPage): void {
    if (page.more) this.#mayHaveMore = true;
    else if (page.ended) this.#ended = true;
    this.push(page.chunks.map(parseLogged));
  }

  /** Chunks after `afterSeq` from memory; null if they are not in the window. */
  slice(afterSeq: number): LoggedChunk[] | null {
    const firstSeq = this.#window[0]?.seq ?? this.#lastSeq + 1;
    if (afterSeq + 1 < firstSeq) return null;
    const batch: LoggedChunk[] = [];
    let bytes = 0;
    for (let i = afterSeq + 1 - firstSeq; i < this.#window.length; i++) {
      const entry = this.#window[i] as LoggedChunk;
      bytes += Buffer.byteLength(entry.json);
      if (batch.length > 0 && bytes > maxBatchBytes) break;
      batch.push(entry);
    }
    return batch;
  }
}

export class TailReader implements LogReader {
  readonly #tail: Tail;
  #afterSeq: number;
  #done = false;
  #wake: (() => void) | null = null;

  constructor(tail: Tail, afterSeq: number) {
    this.#tail = tail;
    this.#afterSeq = afterSeq;
    tail.readers.add(this);
  }

  /** A `next` call is pending with nothing to return yet. */
  get waiting(): boolean {
    return this.#wake !== null;
  }

  async next(): Promise<LoggedChunk[] | null> {
    while (!this.#done) {
      const batch = this.#tail.slice(this.#afterSeq) ?? (await this.#readBehindWindow());
      if (this.#done) break;
      const last = batch.at(-1);
      if (last) {
        this.#afterSeq = last.seq;
        if (isTerminal(last.chunk)) this.close();
        return batch;
      }
      // `slice` is synchronous: nothing can have been pushed since.
      if (this.#tail.ended && this.#afterSeq >= this.#tail.lastSeq) this.close();
      else await this.#wait();
    }
    return null;
  }

  wake(): void {
    this.#wake?.();
    this.#wake = null;
  }

  close(): void {
    if (this.#done) return;
    this.#done = true;
    this.#tail.remove(this);
    this.wake();
  }

  async #wait(): Promise<void> {
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#tail.requestRead();
    await woken;
  }

  /** While the database is away the reader waits, as if there were nothing new. */
  async #readBehindWindow(): Promise<LoggedChunk[]> {
    const { turnId } = this.#tail;
    try {
      const page = (await readPages([{ turnId, seq: this.#afterSeq }], maxBatchBytes)).get(turnId);
      const logged = page?.chunks.map(parseLogged) ?? [];
      // Deleted meanwhile with its chat, or pruned.
      if (logged.length === 0 && page?.ended) this.close();
      else if (logged.length === 0) this.#wakeLater();
      return logged;
    } catch (error) {
      if (!isDatabaseUnavailable(error)) throw error;
      this.#wakeLater();
      return [];
    }
  }

  #wakeLater(): void {
    setTimeout(() => this.wake(), retryMs).unref();
  }
}

function parseLogged({ seq, json }: { seq: number; json: string }): LoggedChunk {
  return { seq, json, chunk: JSON.parse(json) as TurnChunk };
}
