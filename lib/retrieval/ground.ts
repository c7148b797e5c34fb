// How much of an answer its cited sources support. Pure: words against words, no model and no database.
// It can tell that a sentence says something its source does not; it cannot tell that the source is right.
import type { Source } from "@/lib/turn/chunks";
import { contentWords, sentences, withoutMarkup } from "@/lib/words";

/** A sentence counts as supported when its sources hold at least half of its words: the rest is phrasing. */
const supportedFrom = 0.5;

export type Grounding = {
  /** 0..1: the mean support of the answer's sentences, weighted by their length. */
  confidence: number;
  /** 0..1: the share of sentences that are supported. */
  groundedness: number;
};

/**
 * The support of a sentence is the share of its content words that the sources it cites (`[1]`, `[2, 3]`) hold; without
 * a citation of a known source it is 0. Sentences without content words do not count. Null without sources.
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
    const texts = cited.flatMap((ordinal) => wordsOf.get(ordinal) ?? []);
    const found = words.filter((word) => texts.some((text) => text.has(word))).length;
    length += words.length;
    held += found;
    counted += 1;
    if (found / words.length >= supportedFrom) supported += 1;
  }
  if (counted === 0) return { confidence: 0, groundedness: 0 };
  return { confidence: held / length, groundedness: supported / counted };
}

type CitedSentence = { words: string[]; cited: number[] };

const citation = /\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\](?!\()/g;

function citedSentences(answer: string): CitedSentence[] {
  const found: CitedSentence[] = [];
  for (const sentence of sentences(answer)) {
    // A citation after the full stop is broken off into the next sentence; it belongs to the one before.
    const leading = /^(?:\[[\d,\s]+\](?!\()\s*)+/.exec(sentence)?.[0] ?? "";
    found.at(-1)?.cited.push(...ordinalsIn(leading));
    const rest = found.length > 0 ? sentence.slice(leading.length) : sentence;
    const words = contentWords(withoutMarkup(rest.replace(citation, " ")));
    if (words.length > 0) found.push({ words, cited: ordinalsIn(rest) });
  }
  return found;
}

function ordinalsIn(text: string): number[] {
  return Array.from(text.matchAll(citation), ([, list = ""]) => list.split(",").map(Number)).flat();
}
