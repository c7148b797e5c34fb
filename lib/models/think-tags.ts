// Reasoning that a model writes into its text, between <think> and </think> at the very beginning: Qwen, DeepSeek's distilled models and
// others do, where the server has no reasoning parser. Linear in the text, whatever it is cut into. Pure.

type Piece = { kind: "content" | "reasoning_content"; text: string };

const openTag = "<think>";
const closeTag = "</think>";

export class ThinkTags {
  #state: "before" | "inside" | "after" | "text" = "before";
  #held = "";

  /** Inside the tags. */
  get open(): boolean {
    return this.#state === "inside";
  }

  /** What is known of the text so far; what may be the beginning of a tag is held back. */
  read(text: string): Piece[] {
    if (this.#state === "text") return [{ kind: "content", text }];
    this.#held += text;
    const pieces: Piece[] = [];
    if (this.#state === "before") {
      const begun = this.#held.trimStart();
      // White space alone decides nothing; more than this of it is an odd answer and no preamble.
      if (
        openTag.startsWith(begun.slice(0, openTag.length)) &&
        begun.length < openTag.length &&
        this.#held.length < 100
      )
        return [];
      if (!begun.startsWith(openTag)) return this.#giveText();
      this.#state = "inside";
      this.#held = begun.slice(openTag.length).trimStart();
    }
    if (this.#state === "inside") {
      const end = this.#held.indexOf(closeTag);
      const known = end >= 0 ? end : this.#held.length - partialTag(this.#held);
      if (known > 0) pieces.push({ kind: "reasoning_content", text: this.#held.slice(0, known) });
      this.#held = this.#held.slice(end >= 0 ? end + closeTag.length : known);
      if (end < 0) return pieces;
      this.#state = "after";
    }
    // The blank lines between reasoning and answer belong to neither.
    this.#held = this.#held.trimStart();
    if (this.#held !== "") pieces.push(...this.#giveText());
    return pieces;
  }

  /** What was held back, at the end of the text. */
  flush(): Piece[] {
    const text = this.#held;
    this.#held = "";
    if (text === "") return [];
    return [{ kind: this.#state === "inside" ? "reasoning_content" : "content", text }];
  }

  #giveText(): Piece[] {
    this.#state = "text";
    const text = this.#held;
    this.#held = "";
    return text === "" ? [] : [{ kind: "content", text }];
  }
}

/** How many characters at the end may begin the closing tag. */
function partialTag(text: string): number {
  for (let length = Math.min(closeTag.length - 1, text.length); length > 0; length--)
    if (closeTag.startsWith(text.slice(-length))) return length;
  return 0;
}
