// A provider's bytes as the events of a Server-Sent Events stream (WHATWG HTML §9.2.6), and one field more: llama.cpp reports a failure in a
// line `error: …`, which a standard parser drops. Linear, wherever the bytes are cut. Pure.
import type { ProviderEvent } from "./answer-events";

/** One event may hold a whole answer with its tool calls, never more than this. */
const maxEventCharacters = 16 * 1_048_576;

export class EventLines {
  readonly #onEvent: (event: ProviderEvent) => void;
  readonly #decoder = new TextDecoder();
  /** The beginning of a line whose end has not come. */
  #pieces: string[] = [];
  #afterReturn = false;
  #name: string | undefined;
  #data: string[] = [];
  #characters = 0;

  constructor(onEvent: (event: ProviderEvent) => void) {
    this.#onEvent = onEvent;
  }

  /** Too much came without the end of an event. */
  get overflows(): boolean {
    return this.#characters > maxEventCharacters;
  }

  read(bytes: Uint8Array): void {
    this.#text(this.#decoder.decode(bytes, { stream: true }));
  }

  /** The last line and the last event may lack their ends. */
  end(): void {
    this.#text(this.#decoder.decode());
    this.#line(this.#pieces.join(""));
    this.#line("");
  }

  #text(text: string): void {
    let start = this.#afterReturn && text.startsWith("\n") ? 1 : 0;
    if (text !== "") this.#afterReturn = text.endsWith("\r");
    this.#characters += text.length;
    for (const { 0: end, index } of text.matchAll(/\r\n|\n|\r/g)) {
      if (index < start) continue;
      this.#pieces.push(text.slice(start, index));
      const line = this.#pieces.length === 1 ? (this.#pieces[0] as string) : this.#pieces.join("");
      this.#pieces = [];
      start = index + end.length;
      this.#line(line);
    }
    if (start < text.length) this.#pieces.push(text.slice(start));
  }

  #line(line: string): void {
    if (line === "") {
      const event = { name: this.#name, data: this.#data.join("\n") };
      const sent = this.#data.length > 0;
      this.#name = undefined;
      this.#data = [];
      this.#characters = 0;
      if (sent) this.#onEvent(event);
      return;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#name = value;
    else if (field === "error") this.#onEvent({ name: "error", data: value });
  }
}
