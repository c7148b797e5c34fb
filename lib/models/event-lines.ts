// Parses a provider's bytes as Server-Sent Events (WHATWG HTML §9.2.6), tolerantly: llama.cpp
// reports failures in an `error: …` line, which a standard parser drops; some servers omit the
// empty line or send JSON lines. Linear, wherever the bytes are split. Pure.
import type { ProviderEvent } from "./answer-events";

const doneMark = "[DONE]";

/** An event may hold a whole answer with its tool calls, but never more than this. */
const maxEventCharacters = 16 * 1_048_576;

export class EventLines {
  readonly #onEvent: (event: ProviderEvent) => void;
  readonly #decoder = new TextDecoder();
  /** Start of an incomplete line. */
  #pieces: string[] = [];
  #afterReturn = false;
  #name: string | undefined;
  #data: string[] = [];
  #characters = 0;
  #cut = false;

  constructor(onEvent: (event: ProviderEvent) => void) {
    this.#onEvent = onEvent;
  }

  /** The current event is too large. */
  get overflows(): boolean {
    return this.#characters > maxEventCharacters;
  }

  read(bytes: Uint8Array): void {
    this.#text(this.#decoder.decode(bytes, { stream: true }));
  }

  /** The last line and event may lack terminators. */
  end(): void {
    this.#text(this.#decoder.decode());
    this.#cut = true;
    this.#line(this.#pieces.join(""));
    this.#line("");
  }

  #text(text: string): void {
    let start = this.#afterReturn && text.startsWith("\n") ? 1 : 0;
    if (text !== "") this.#afterReturn = text.endsWith("\r");
    this.#characters += text.length;
    // Two `indexOf` scans: a regular expression took twice as long as the rest of the line.
    let newline = text.indexOf("\n", start);
    let carriageReturn = text.indexOf("\r", start);
    while (newline >= 0 || carriageReturn >= 0) {
      const returns = carriageReturn >= 0 && (newline < 0 || carriageReturn < newline);
      const end = returns ? carriageReturn : newline;
      this.#pieces.push(text.slice(start, end));
      const line = this.#pieces.length === 1 ? (this.#pieces[0] as string) : this.#pieces.join("");
      this.#pieces = [];
      start = returns && newline === end + 1 ? end + 2 : end + 1;
      if (newline >= 0 && newline < start) newline = text.indexOf("\n", start);
      if (returns) carriageReturn = text.indexOf("\r", start);
      this.#line(line);
    }
    if (start < text.length) this.#pieces.push(text.slice(start));
  }

  #line(line: string): void {
    if (line === "") {
      this.#dispatch();
      return;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "data") {
      // Some servers separate events by a single line feed.
      if (this.#data.at(-1)?.endsWith("}") && (value.startsWith("{") || value === doneMark)) this.#dispatch();
      this.#data.push(value);
      if (value === doneMark) this.#dispatch();
    } else if (field === "event") this.#name = value;
    else if (field === "error") this.#emit({ name: "error", data: value });
    // Some servers stream JSON lines instead of events.
    else if (line.startsWith("{") && line.endsWith("}")) this.#emit({ name: undefined, data: line });
  }

  #dispatch(): void {
    const event = { name: this.#name, data: this.#data.join("\n") };
    const sent = this.#data.length > 0;
    this.#name = undefined;
    this.#data = [];
    this.#characters = 0;
    if (sent) this.#emit(event);
  }

  #emit(event: ProviderEvent): void {
    this.#characters = 0;
    this.#onEvent(this.#cut ? { ...event, cut: true } : event);
  }
}
