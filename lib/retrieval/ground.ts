// Measures how well an answer's cited sources support it. Pure: compares words, without a model or
// a database. It can tell that a sentence says something its source does not, but not that the
// source is right.
import type { Source } from "@/lib/turn/chunks";
import { contentWords, contentWordsOfLines, sentences, withoutMarkup } from "@/lib/words";

/**
 * A sentence is supported if its sources contain at least half of its words: the rest is phrasing.
 */
const supportedFrom = 0.5;

export type Grounding = {
  /** 0..1: mean support of the answer's sentences, weighted by length. */
  confidence: number;
  /** 0..1: share of supported sentences. */
  groundedness: number;
};

/**
 * A sentence's support is the share of its content words found in the sources it cites (`[1]`, `[2,
 * 3]`); 0 without a citation of a known source. Sentences without content words are ignored. Null
 * without sources.
 */
export function ground(answer: string, sources: Source[]): Grounding | null {
  if (sources.length === 0) return null;
  const wordsOf = new Map(
    sources.map(({ ordinal, title, text, metadata }) => [
      ordinal,
      new Set(contentWords(`${title} ${metadata.heading ?? ""} ${text}`)),
    ]),
  );

  let length = 0;
  let held = 0;
  let counted = 0;
  let supported = 0;
  for (const { words, cited } of citedSentences(answer)) {
    const texts = Array.from(cited, (ordinal) => wordsOf.get(ordinal)).filter((text) => text !== undefined);
    const found = words.filter((word) => texts.some((text) => text.has(word))).length;
    length += words.length;
    held += found;
    counted += 1;
    if (found / words.length >= supportedFrom) supported += 1;
  }
  if (counted === 0) return { confidence: 0, groundedness: 0 };
  return { confidence: held / length, groundedness: supported / counted };
}

/** A set: a sentence may cite a source repeatedly. */
type CitedSentence = { words: string[]; cited: Set<number> };

const citation = /\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\](?!\()/g;

function citedSentences(answer: string): CitedSentence[] {
  const found: { text: string; cited: Set<number> }[] = [];
  for (const sentence of sentences(answer)) {
    // A citation after the full stop is split off into the next sentence; it belongs to the
    // previous one.
    const leading = /^(?:\[[\d,\s]+\](?!\()\s*)+/.exec(sentence)?.[0] ?? "";
    const before = found.at(-1);
    if (before) for (const ordinal of ordinalsIn(leading)) before.cited.add(ordinal);
    const rest = before ? sentence.slice(leading.length) : sentence;
    const text = withoutMarkup(rest.replace(citation, " "));
    if (/[\p{L}\p{N}]/u.test(text)) found.push({ text, cited: new Set(ordinalsIn(rest)) });
  }
  const words = contentWordsOfLines(found.map(({ text }) => text).join("\n"));
  return found
    .map(({ cited }, index) => ({ cited, words: words[index] ?? [] }))
    .filter((sentence) => sentence.words.length > 0);
}

function* ordinalsIn(text: string): Generator<number> {
  for (const [, list = ""] of text.matchAll(citation)) yield* list.split(",").map(Number);
}
