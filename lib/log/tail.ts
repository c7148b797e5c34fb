// What this process knows of one turn's log: a window over its latest committed chunks, shared by all readers here.
// Fed by the group commit when the turn is written here, else by one read for all readers. A reader that is
// slower than the window reads the database instead; it delays nobody.
import { readChunks } from "@/db/log";
import { isDatabaseAway } from "@/lib/database-away";
import { isTerminal, type LoggedChunk, type TurnChunk } from "@/lib/turn/chunks";
import type { LogReader } from "./contract";

/** What one `next` may return: with one write under way and one prepared, a reader has at most 256 KiB in flight. */
export const maxBatchBytes = 131_072;
/** How soon a read is repeated while the database is away. */
const retryMs = 1_000;
/** Enough for readers to be some commits apart; more would be memory for every live turn. */
const maxWindowBytes = 524_288;

export class Tail {
  readonly turnId: string;
  /** True while this process writes the turn: then commits feed the window and nobody needs to read. */
  local: boolean;
  readonly readers = new Set<TailReader>();
  #window: LoggedChunk[] = [];
  #bytes = 0;
  #lastSeq: number;

  constructor(turnId: string, lastSeq: number, local: boolean) {
    this.turnId = turnId;
    this.#lastSeq = lastSeq;
    this.local = local;
  }

  /** The last seq known here to be committed. */
  get lastSeq(): number {
    return this.#lastSeq;
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
    this.wake();
  }

  wake(): void {
    for (const reader of this.readers) reader.wake();
  }

  /** Chunks behind `afterSeq` from memory; null when they are no longer (or not yet) here. */
  slice(afterSeq: number): LoggedChunk[] | null {
    const firstSeq = this.#window[0]?.seq ?? this.#lastSeq + 1;
    if (afterSeq + 1 < firstSeq) return null;
    const batch: LoggedChunk[] = [];
    let bytes = 0;
    for (let i = afterSeq + 1 - firstSeq; i < this.#window.length; i++) {
      const entry = this.#window[i] as LoggedChunk;
      if (batch.length > 0 && bytes + entry.json.length > maxBatchBytes) break;
      batch.push(entry);
      bytes += entry.json.length;
    }
    return batch;
  }
}

export class TailReader implements LogReader {
  readonly #tail: Tail;
  readonly #onClose: () => void;
  #afterSeq: number;
  #done = false;
  #waiting: (() => void) | null = null;

  constructor(tail: Tail, afterSeq: number, onClose: () => void) {
    this.#tail = tail;
    this.#afterSeq = afterSeq;
    this.#onClose = onClose;
    tail.readers.add(this);
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
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
    return null;
  }

  /** While the database is away the reader waits, like one for whom there is nothing new. */
  async #readBehindWindow(): Promise<LoggedChunk[]> {
    try {
      const rows = await readChunks([{ turnId: this.#tail.turnId, seq: this.#afterSeq }], maxBatchBytes);
      return rows.map(({ seq, json }) => parseLogged(seq, json));
    } catch (error) {
      if (!isDatabaseAway(error)) throw error;
      setTimeout(() => this.wake(), retryMs).unref();
      return [];
    }
  }

  wake(): void {
    this.#waiting?.();
    this.#waiting = null;
  }

  close(): void {
    if (this.#done) return;
    this.#done = true;
    this.#tail.readers.delete(this);
    this.#onClose();
    this.wake();
  }
}

/** A stored chunk as it is passed around. */
export function parseLogged(seq: number, json: string): LoggedChunk {
  return { seq, json, chunk: JSON.parse(json) as TurnChunk };
}
