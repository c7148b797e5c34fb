// Reasoning that a model writes into its text, between tags at the very start: Qwen, DeepSeek's
// distilled models and others, where the server has no reasoning parser. Linear in the text,
// however it is split. Pure.

type Piece = { kind: "content" | "reasoning_content"; text: string };

/** Opening and closing tags. */
const tags = new Map([
  ["<think>", "</think>"],
  ["<thinking>", "</thinking>"],
  // Gemini's compatible endpoint, EXAONE.
  ["<thought>", "</thought>"],
  // Seed-OSS, Magistral, Kimi-VL, Command A.
  ["<seed:think>", "</seed:think>"],
  ["[THINK]", "[/THINK]"],
  ["◁think▷", "◁/think▷"],
  ["<|START_THINKING|>", "<|END_THINKING|>"],
  // gpt-oss, where the server does not parse its channels.
  ["<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"],
]);
/** A text that starts like this has no reasoning: the prompt template opened and closed it. */
const emptyReasoning = ["</think>", "<|channel|>final<|message|>"];
const beginnings = [...tags.keys(), ...emptyReasoning];
const maxBeginningLength = Math.max(...beginnings.map(({ length }) => length));
/** White space alone decides nothing; more than this is an odd answer, not a preamble. */
const maxPreamble = 100;

export class ThinkTags {
  #state: "before" | "inside" | "after" | "text" = "before";
  #held = "";
  #closeTag = "";

  /** Inside the tags. */
  get open(): boolean {
    return this.#state === "inside";
  }

  /** Returns the classified text; a possible start of a tag is held back. */
  read(text: string): Piece[] {
    if (this.#state === "text") return [{ kind: "content", text }];
    this.#held += text;
    const pieces: Piece[] = [];
    if (this.#state === "before") {
      const started = this.#held.trimStart();
      const beginning = beginnings.find((tag) => started.startsWith(tag));
      if (beginning === undefined) {
        const undecided = started.length < maxBeginningLength && beginnings.some((tag) => tag.startsWith(started));
        return undecided && this.#held.length < maxPreamble ? [] : this.#giveText();
      }
      this.#closeTag = tags.get(beginning) ?? "";
      this.#state = this.#closeTag ? "inside" : "after";
      this.#held = started.slice(beginning.length).trimStart();
    }
    if (this.#state === "inside") {
      const end = this.#held.indexOf(this.#closeTag);
      const known = end >= 0 ? end : this.#held.length - partialTag(this.#held, this.#closeTag);
      if (known > 0) pieces.push({ kind: "reasoning_content", text: this.#held.slice(0, known) });
      this.#held = this.#held.slice(end >= 0 ? end + this.#closeTag.length : known);
      if (end < 0) return pieces;
      this.#state = "after";
    }
    // Blank lines between reasoning and answer belong to neither.
    this.#held = this.#held.trimStart();
    if (this.#held !== "") pieces.push(...this.#giveText());
    return pieces;
  }

  /** Returns what was held back at the end. In a truncated answer, a partial tag is dropped. */
  flush(brokeOff = false): Piece[] {
    const text = this.#held;
    this.#held = "";
    if (text === "" || brokeOff) return [];
    return [{ kind: this.#state === "inside" ? "reasoning_content" : "content", text }];
  }

  #giveText(): Piece[] {
    this.#state = "text";
    const text = this.#held;
    this.#held = "";
    return text === "" ? [] : [{ kind: "content", text }];
  }
}

/** How many trailing characters may start the tag. */
function partialTag(text: string, tag: string): number {
  for (let length = Math.min(tag.length - 1, text.length); length > 0; length--)
    if (tag.startsWith(text.slice(-length))) return length;
  return 0;
}
