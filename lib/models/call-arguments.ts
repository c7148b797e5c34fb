// The arguments of one tool call, as the pieces of them arrive. Some servers send all that came before again with each piece, or at the
// end; some begin with an empty object as a placeholder; some put the JSON into a JSON string. Linear in the pieces. Pure.

export class CallArguments {
  /** All of them, and how much of that was given on. */
  #text = "";
  #given = 0;
  #scanner = new ObjectScanner();
  /** Why pieces are given on only when the call ends. */
  #held: "placeholder" | "quoted" | null = null;

  /** The object has been closed: what follows is a repetition, or no part of it. */
  get complete(): boolean {
    return this.#scanner.closed;
  }

  get empty(): boolean {
    return this.#text === "";
  }

  repeats(text: string): boolean {
    return text === this.#text;
  }

  /** What can go on of this piece. */
  add(piece: string): string {
    if (this.#text === "") {
      if (piece.trim() === "null") return "";
      if (piece.trimStart().startsWith('"')) this.#held = "quoted";
      return this.#append(piece);
    }
    if (this.#held === "placeholder" && piece.trimStart().startsWith("{") && piece.trim() !== "{}") {
      this.#text = "";
      this.#held = null;
      this.#scanner = new ObjectScanner();
      return this.#append(piece);
    }
    if (this.complete) return "";
    // An object never goes on with its own beginning.
    const cumulative = piece.length > this.#text.length && piece.startsWith(this.#text);
    return this.#append(cumulative ? piece.slice(this.#text.length) : piece);
  }

  /** What had been held back. */
  end(): string {
    const held = this.#held;
    this.#held = null;
    return held === "quoted" ? this.#give(unquoted(this.#text)) : held ? this.#give(this.#text) : "";
  }

  #append(piece: string): string {
    this.#text += piece;
    if (this.#held !== "quoted") this.#scanner.read(piece);
    if (this.#given === 0 && this.complete && this.#text.trim() === "{}") this.#held = "placeholder";
    return this.#held ? "" : this.#give(piece);
  }

  #give(text: string): string {
    this.#given += text.length;
    return text;
  }
}

function unquoted(text: string): string {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "string" ? value : text;
  } catch {
    // Not JSON: the tool's schema refuses it as it is.
    return text;
  }
}

const quote = 0x22;
const backslash = 0x5c;
const opening = new Set([0x7b, 0x5b]);
const closing = new Set([0x7d, 0x5d]);

/** Finds the end of the first object or list in a text. */
class ObjectScanner {
  #depth = 0;
  #inString = false;
  #escaped = false;
  closed = false;

  read(text: string): void {
    for (let at = 0; at < text.length && !this.closed; at++) {
      const code = text.charCodeAt(at);
      if (this.#escaped) this.#escaped = false;
      else if (this.#inString) {
        if (code === backslash) this.#escaped = true;
        else if (code === quote) this.#inString = false;
      } else if (code === quote) this.#inString = true;
      else if (opening.has(code)) this.#depth += 1;
      else if (closing.has(code)) this.closed = --this.#depth === 0;
    }
  }
}
