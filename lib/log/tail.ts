// What this process knows of one turn's log: a window over its latest committed chunks, shared by all readers here.
// Fed by the group commit when the turn is written here, else by one read for all readers that wait. A reader that is
// slower than the window reads the database instead; it delays nobody.
import { readPages, type TurnPage } from "@/db/log";
import { isDatabaseAway } from "@/lib/database-away";
import { isTerminal, type LoggedChunk, type TurnChunk } from "@/lib/turn/chunks";
import type { LogReader } from "./contract";

/** What one `next` may return: with one write under way and one prepared, a reader has at most 256 KiB in flight. */
export const maxBatchBytes = 131_072;
/** Enough for readers to be some commits apart; more would be memory for every live turn. */
const maxWindowBytes = 524_288;
/** How soon a reader behind the window looks again when the database was away. */
const retryMs = 1_000;

export class Tail {
  readonly turnId: string;
  /** True while this process writes the turn: then commits feed the window and nobody needs to read. */
  local: boolean;
  readonly readers = new Set<TailReader>();
  /** Asks for a read: somebody waits, and the database may hold more than is known here. */
  readonly #pull: (tail: Tail) => void;
  #mayHaveMore = true;
  #ended = false;
  #window: LoggedChunk[] = [];
  #bytes = 0;
  #lastSeq: number;

  constructor(turnId: string, lastSeq: number, local: boolean, pull: (tail: Tail) => void) {
    this.turnId = turnId;
    this.#lastSeq = lastSeq;
    this.local = local;
    this.#pull = pull;
  }

  /** The last seq known here to be committed. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  /** Nothing will ever come behind `lastSeq`. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Takes committed chunks; what is known already is ignored, a hole is never accepted. */
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

  /** The database may have grown. Read at once when somebody waits for it, else when somebody does. */
  hint(): void {
    this.#mayHaveMore = true;
    if ([...this.readers].some((reader) => reader.waiting)) this.wanted();
  }

  /** A reader has all there is and waits. */
  wanted(): void {
    if (this.#mayHaveMore && !this.local) this.#pull(this);
  }

  /** A hint that comes from now on may be about chunks behind the read. */
  beginRead(): void {
    this.#mayHaveMore = false;
  }

  endRead(page: TurnPage): void {
    if (page.more) this.#mayHaveMore = true;
    else if (page.ended) this.#ended = true;
    this.push(page.chunks.map(parseLogged));
  }

  /** Chunks behind `afterSeq` from memory; null when they are no longer (or not yet) here. */
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
  readonly #onClose: () => void;
  #afterSeq: number;
  #done = false;
  #wake: (() => void) | null = null;

  constructor(tail: Tail, afterSeq: number, onClose: () => void) {
    this.#tail = tail;
    this.#afterSeq = afterSeq;
    this.#onClose = onClose;
    tail.readers.add(this);
  }

  /** Somebody awaits `next`, and there is nothing for it yet. */
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
      // `slice` answers at once: between it and this line nothing can have been pushed.
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
    this.#tail.readers.delete(this);
    this.#onClose();
    this.wake();
  }

  async #wait(): Promise<void> {
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#tail.wanted();
    await woken;
  }

  /** While the database is away the reader waits, like one for whom there is nothing new. */
  async #readBehindWindow(): Promise<LoggedChunk[]> {
    const { turnId } = this.#tail;
    try {
      const page = (await readPages([{ turnId, seq: this.#afterSeq }], maxBatchBytes)).get(turnId);
      const logged = page?.chunks.map(parseLogged) ?? [];
      // Deleted meanwhile, with its chat or because it ended long ago.
      if (logged.length === 0 && page?.ended) this.close();
      else if (logged.length === 0) this.#wakeLater();
      return logged;
    } catch (error) {
      if (!isDatabaseAway(error)) throw error;
      this.#wakeLater();
      return [];
    }
  }

  #wakeLater(): void {
    setTimeout(() => this.wake(), retryMs).unref();
  }
}

/** A stored chunk as it is passed around. */
function parseLogged({ seq, json }: { seq: number; json: string }): LoggedChunk {
  return { seq, json, chunk: JSON.parse(json) as TurnChunk };
}
