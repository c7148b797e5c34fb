// Between the bytes of a provider and the adapter that reads them: whatever a server streams becomes the canonical events of its API's
// shape, adjacent texts joined. Knows when the answer is whole, so that nothing after that can spoil it.
import { type EventReader, type Item, type ProviderEvent, unreadable } from "./answer-events";
import { EventLines } from "./event-lines";

/** What goes on to the adapter. */
export type Said = Extract<Item, { type: "delta" | "frame" }>;

export function framesOf(said: Said[]): string {
  return said.map((item) => (item.type === "frame" ? item.frame : item.frame(item.text))).join("");
}

export class Normaliser {
  readonly #reader: EventReader;
  readonly #lines: EventLines;
  #items: Said[] = [];
  #whole = false;
  #failure: Error | null = null;

  constructor(reader: EventReader) {
    this.#reader = reader;
    this.#lines = new EventLines((event) =>
      this.#take(() => (event.cut ? readCut(reader, event) : reader.read(event))),
    );
  }

  /** The answer has ended: what comes after it is not read. */
  get whole(): boolean {
    return this.#whole;
  }

  /** What the provider said went wrong, to be thrown behind the events so far. */
  get failure(): Error | null {
    return this.#failure;
  }

  /** Why the answer ended is known; its usage may still come. */
  get settled(): boolean {
    return this.#reader.settled;
  }

  /** For how long. */
  get graceMs(): number {
    return this.#reader.graceMs;
  }

  /** The provider works on something that it does not show. */
  get thinking(): boolean {
    return this.#reader.thinking;
  }

  /** What these bytes complete, in canonical form. */
  read(bytes: Uint8Array): Said[] {
    if (this.#over) return [];
    this.#lines.read(bytes);
    if (this.#lines.overflows) this.#failure ??= unreadable();
    return this.#given();
  }

  /** What remains when the connection ends, or fails. */
  finish(failed: boolean): Said[] {
    if (!this.#over && !failed) this.#lines.end();
    this.#take(() => this.#reader.finish(failed));
    return this.#given();
  }

  /** What an answer says that came as one JSON body; null when it is none. */
  readWhole(body: unknown): Said[] | null {
    const items = this.#reader.readWhole(body);
    if (!items) return null;
    this.#take(() => items);
    return this.#given();
  }

  get #over(): boolean {
    return this.#whole || this.#failure !== null;
  }

  #take(read: () => Item[]): void {
    if (this.#over) return;
    for (const item of attempted(read)) {
      if (item.type === "end") this.#whole = true;
      else if (item.type === "failure") this.#failure = item.error;
      else this.#items.push(item);
      if (this.#over) return;
    }
  }

  /** Taken out; adjacent deltas are one. */
  #given(): Said[] {
    const given: Said[] = [];
    for (const item of this.#items) {
      const last = given.at(-1);
      if (item.type === "delta" && last?.type === "delta" && last.key === item.key) last.text += item.text;
      else given.push(item.type === "delta" ? { ...item } : item);
    }
    this.#items = [];
    return given;
  }
}

/** An event that the end of the stream cut may be whole all the same, and is nothing if it cannot be read. */
function readCut(reader: EventReader, event: ProviderEvent): Item[] {
  try {
    return reader.read(event);
  } catch {
    return [];
  }
}

/** What cannot be read is the failure of the answer, unless it has ended before. */
function attempted(read: () => Item[]): Item[] {
  try {
    return read();
  } catch (error) {
    return [{ type: "failure", error: error as Error }];
  }
}
