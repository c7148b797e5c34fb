// Between a provider's bytes and the adapter: converts any server's stream into canonical events of
// its API, adjacent texts joined. Knows when the answer is complete, so that nothing later can
// spoil it.
import { type EventReader, type Item, type ProviderEvent, unreadable } from "./answer-events";
import { EventLines } from "./event-lines";

/** Output for the adapter. */
export type NormalisedItem = Extract<Item, { type: "delta" | "frame" }>;

export function framesOf(items: NormalisedItem[]): string {
  return items.map((item) => (item.type === "frame" ? item.frame : item.frame(item.text))).join("");
}

export class Normaliser {
  readonly #reader: EventReader;
  readonly #lines: EventLines;
  #items: NormalisedItem[] = [];
  #complete = false;
  #failure: Error | null = null;

  constructor(reader: EventReader) {
    this.#reader = reader;
    this.#lines = new EventLines((event) =>
      this.#take(() => (event.cut ? readCut(reader, event) : reader.read(event))),
    );
  }

  /** The answer has ended: later input is not read. */
  get complete(): boolean {
    return this.#complete;
  }

  /** The failure the provider reported, to be thrown after the events so far. */
  get failure(): Error | null {
    return this.#failure;
  }

  /** The finish reason is known; usage may still follow. */
  get settled(): boolean {
    return this.#reader.settled;
  }

  /** How long to wait for it. */
  get graceMs(): number {
    return this.#reader.graceMs;
  }

  /** The model is working without visible output. */
  get thinking(): boolean {
    return this.#reader.thinking;
  }

  /** The canonical items that these bytes complete. */
  read(bytes: Uint8Array): NormalisedItem[] {
    if (this.#ended) return [];
    this.#lines.read(bytes);
    if (this.#lines.overflows) this.#failure ??= unreadable();
    return this.#drain();
  }

  /** The remaining items when the connection ends or fails. */
  finish(failed: boolean): NormalisedItem[] {
    if (!this.#ended && !failed) this.#lines.end();
    this.#take(() => this.#reader.finish(failed));
    return this.#drain();
  }

  /** The items of an answer that came as one JSON body; null if it is none. */
  readJson(body: unknown): NormalisedItem[] | null {
    const items = this.#reader.readJson(body);
    if (!items) return null;
    this.#take(() => items);
    return this.#drain();
  }

  get #ended(): boolean {
    return this.#complete || this.#failure !== null;
  }

  #take(read: () => Item[]): void {
    if (this.#ended) return;
    for (const item of orFailure(read)) {
      if (item.type === "end") this.#complete = true;
      else if (item.type === "failure") this.#failure = item.error;
      else this.#items.push(item);
      if (this.#ended) return;
    }
  }

  /** Returns and clears the items, adjacent deltas joined. */
  #drain(): NormalisedItem[] {
    const drained: NormalisedItem[] = [];
    for (const item of this.#items) {
      const last = drained.at(-1);
      if (item.type === "delta" && last?.type === "delta" && last.key === item.key) last.text += item.text;
      else drained.push(item.type === "delta" ? { ...item } : item);
    }
    this.#items = [];
    return drained;
  }
}

/** An event cut by the end of the stream may still be complete; ignored if unreadable. */
function readCut(reader: EventReader, event: ProviderEvent): Item[] {
  try {
    return reader.read(event);
  } catch {
    return [];
  }
}

/** Unreadable input fails the answer, unless it has ended before. */
function orFailure(read: () => Item[]): Item[] {
  try {
    return read();
  } catch (error) {
    return [{ type: "failure", error: error as Error }];
  }
}
