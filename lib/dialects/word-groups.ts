// Text that arrives in any pieces, given on in groups of so many words, each with its place in the log. Pure.
type Place = { seq: number; n: number };
export type Group = { text: string; at: Place };

/** Characters that count as a word: text without white space, such as Chinese, and white space alone must not wait for their end. */
const maxWordLength = 40;

export class WordGroups {
  readonly #group: RegExp;
  #held = "";
  /** Where chunks end within the held text. */
  #ends: { seq: number; length: number }[] = [];
  /** Of the frame sent last: chunk `seq` and all before it are sent, and so many frames since; -1: none yet. */
  #place: Place = { seq: 0, n: -1 };

  constructor(words: number) {
    const blank = `\\s{${maxWordLength}}`;
    const word = `\\s{0,${maxWordLength - 1}}(?:\\S{${maxWordLength}}|\\S{1,${maxWordLength - 1}}(?=\\s))`;
    this.#group = new RegExp(`^(?:${blank}|${word}){${words}}`, "u");
  }

  /**
   * Takes what chunk `seq` adds to the text ("" for nothing) and returns the groups that are whole, with `last` all
   * that is left. A group's place never lies behind text that has not been given on: whoever resumes there may see a
   * word again when he asks for other groups than before, but never misses one.
   */
  take(seq: number, text: string, last: boolean): Group[] {
    const groups: Group[] = [];
    if (last) {
      if (this.#held) groups.push(this.#cut(this.#held.length));
      return groups;
    }
    this.#held += text;
    if (this.#held) this.#ends.push({ seq, length: this.#held.length });
    else this.#place = { seq, n: -1 };
    for (let whole = this.#next(); whole > 0; whole = this.#next()) groups.push(this.#cut(whole));
    return groups;
  }

  /** A frame of another kind was sent for chunk `seq`. */
  passed(seq: number): void {
    this.#place = { seq, n: 0 };
  }

  #next(): number {
    return this.#group.exec(this.#held)?.[0].length ?? 0;
  }

  #cut(length: number): Group {
    const text = this.#held.slice(0, length);
    this.#held = this.#held.slice(length);
    const sent = this.#ends.findLast((end) => end.length <= length);
    this.#ends = this.#ends
      .filter((end) => end.length > length)
      .map((end) => ({ seq: end.seq, length: end.length - length }));
    this.#place = sent ? { seq: sent.seq, n: 0 } : { seq: this.#place.seq, n: this.#place.n + 1 };
    return { text, at: this.#place };
  }
}
