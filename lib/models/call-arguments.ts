// Assembles the arguments of one tool call from pieces. Some servers resend everything so far with
// each piece or at the end; some start with an empty object as a placeholder; some wrap the JSON in
// a JSON string. Linear in the pieces. Pure.

export class CallArguments {
  /** Everything received, and how much of it was forwarded. */
  #text = "";
  #emitted = 0;
  #scanner = new ObjectScanner();
  /** Why pieces are held until the call ends. */
  #held: "placeholder" | "quoted" | null = null;

  /** The object is closed: what follows is a repeat or garbage. */
  get complete(): boolean {
    return this.#scanner.closed;
  }

  get empty(): boolean {
    return this.#text === "";
  }

  repeats(text: string): boolean {
    return text === this.#text;
  }

  /** Returns the part of this piece to forward. */
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
    // An object never continues with its own beginning.
    const cumulative = piece.length > this.#text.length && piece.startsWith(this.#text);
    return this.#append(cumulative ? piece.slice(this.#text.length) : piece);
  }

  /** Returns what was held back. */
  end(): string {
    const held = this.#held;
    this.#held = null;
    return held === "quoted" ? this.#emit(unquoted(this.#text)) : held ? this.#emit(this.#text) : "";
  }

  #append(piece: string): string {
    this.#text += piece;
    if (this.#held !== "quoted") this.#scanner.read(piece);
    if (this.#emitted === 0 && this.complete && this.#text.trim() === "{}") this.#held = "placeholder";
    return this.#held ? "" : this.#emit(piece);
  }

  #emit(text: string): string {
    this.#emitted += text.length;
    return text;
  }
}

function unquoted(text: string): string {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "string" ? value : text;
  } catch {
    // Not JSON: left for the tool's schema to reject.
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
