// Regroups text of any granularity into groups of N words, each with its log position. Pure.
type Place = { seq: number; n: number };
export type WordGroup = { text: string; at: Place };

/**
 * Characters that count as a word: text without spaces, such as Chinese, and runs of white space
 * must not wait for their end.
 */
const maxWordLength = 40;

export class WordGroups {
  readonly #group: RegExp;
  #buffer = "";
  /** Where chunks end within the held text. */
  #ends: { seq: number; length: number }[] = [];
  /**
   * Position of the last frame sent: chunk `seq` and all before it are complete, plus `n` frames
   * since; -1: none yet.
   */
  #place: Place = { seq: 0, n: -1 };

  constructor(words: number) {
    const blank = `\\s{${maxWordLength}}`;
    const word = `\\s{0,${maxWordLength - 1}}(?:\\S{${maxWordLength}}|\\S{1,${maxWordLength - 1}}(?=\\s))`;
    this.#group = new RegExp(`^(?:${blank}|${word}){${words}}`, "u");
  }

  /**
   * Takes the text chunk `seq` adds ("" for none) and returns complete groups; with `last`,
   * everything left. A group's position never covers unsent text: a reader that resumes there with
   * another group size may see a word twice, but never misses one.
   */
  take(seq: number, text: string, last: boolean): WordGroup[] {
    const groups: WordGroup[] = [];
    if (last) {
      if (this.#buffer) groups.push(this.#cut(this.#buffer.length));
      return groups;
    }
    this.#buffer += text;
    if (this.#buffer) this.#ends.push({ seq, length: this.#buffer.length });
    else this.#place = { seq, n: -1 };
    for (let length = this.#next(); length > 0; length = this.#next()) groups.push(this.#cut(length));
    return groups;
  }

  /** A frame of another kind was sent for chunk `seq`. */
  markSent(seq: number): void {
    this.#place = { seq, n: 0 };
  }

  #next(): number {
    return this.#group.exec(this.#buffer)?.[0].length ?? 0;
  }

  #cut(length: number): WordGroup {
    const text = this.#buffer.slice(0, length);
    this.#buffer = this.#buffer.slice(length);
    const sent = this.#ends.findLast((end) => end.length <= length);
    this.#ends = this.#ends
      .filter((end) => end.length > length)
      .map((end) => ({ seq: end.seq, length: end.length - length }));
    this.#place = sent ? { seq: sent.seq, n: 0 } : { seq: this.#place.seq, n: this.#place.n + 1 };
    return { text, at: this.#place };
  }
}
