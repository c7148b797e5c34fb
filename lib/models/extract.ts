// Selects the sentences of the passages that answer a question, and quotes them verbatim, each with
// its citation. Pure. No retrieval here: passages arrive ranked, and their order counts.
import { contentWords, sentences, truncate, withoutMarkup } from "@/lib/words";

type Passage = { ordinal: number; title: string; heading?: string; text: string };

type Candidate = {
  ordinal: number;
  /** Index among all candidates; sentences are output in this order. */
  position: number;
  text: string;
  words: Set<string>;
  /** Its first words: usually what the sentence is about. */
  opening: Set<string>;
  /** Words of the headings above it: its topic. */
  context: Set<string>;
  /** 1 for a whole sentence of prose; less for a table row or a fragment. */
  quality: number;
  score: number;
};

/** Enough to answer and still short; the sources show the rest. */
const maxSentences = 4;
const minSentences = 2;
/** A sentence with less than this share of the question's weight is off topic. */
const minCoverage = 0.3;
/** A sentence this much weaker than the best one adds noise. */
const minShareOfBest = 0.5;
/** Two sentences sharing this much of the shorter one say the same. */
const duplicateThreshold = 0.7;
/** Characters read per passage: three times what the search returns. */
const passageLength = 4_000;
/** Longer ones are lists or code in disguise. */
const maxSentenceLength = 400;

/**
 * Up to four quoted sentences with `[n]` before each full stop; null if nothing fits the question.
 */
export function extract(question: string, passages: Passage[]): string | null {
  const questionWords = new Set(contentWords(question));
  const candidates = passages.flatMap(candidatesOf).map((candidate, position) => ({ ...candidate, position }));
  if (questionWords.size === 0 || candidates.length === 0) return null;

  const weights = weigh(questionWords, candidates);
  const whole = sum(weights.values());
  const averageLength = sum(candidates.map(({ words }) => words.size)) / candidates.length;
  for (const candidate of candidates) {
    const held = sum(Array.from(weights, ([word, weight]) => weight * strength(candidate, word))) / whole;
    const length = 0.75 + (0.25 * candidate.words.size) / averageLength;
    const rank = 1 / (1 + 0.1 * (candidate.ordinal - 1));
    candidate.score = held < minCoverage ? 0 : (held * candidate.quality * rank) / Math.max(1, length);
  }
  const chosen = choose(candidates);
  return chosen.length === 0 ? null : composeAnswer(chosen);
}

function choose(candidates: Candidate[]): Candidate[] {
  const ranked = candidates.filter(({ score }) => score > 0).sort((a, b) => b.score - a.score);
  const best = ranked[0];
  if (!best) return [];
  const chosen: Candidate[] = [];
  for (const candidate of ranked) {
    if (chosen.length === maxSentences || candidate.score < best.score * minShareOfBest) break;
    if (!chosen.some((other) => same(other, candidate))) chosen.push(candidate);
  }
  // A single sentence often opens a thought that the next one finishes.
  if (chosen.length < minSentences) {
    const next = candidates[best.position + 1];
    if (next?.ordinal === best.ordinal && next.quality === 1 && !same(best, next)) chosen.push(next);
  }
  return chosen.sort((a, b) => a.position - b.position);
}

/** One paragraph per source, in source order. */
function composeAnswer(chosen: Candidate[]): string {
  const paragraphs = Map.groupBy(chosen, ({ ordinal }) => ordinal);
  return Array.from(paragraphs.values(), (part) => part.map(cite).join(" ")).join("\n\n");
}

function cite({ text, ordinal }: Candidate): string {
  const [, body = text, end = "."] = /^(.*?)([.!?…])?[:;,]?$/su.exec(text) ?? [];
  return `${body} [${ordinal}]${end}`;
}

function candidatesOf({ ordinal, title, heading = "", text }: Passage): Candidate[] {
  const context = new Set(contentWords(truncate(`${title} ${heading}`, passageLength)));
  return blocks(truncate(text, passageLength)).flatMap(({ text: block, quality }) =>
    statements(block).flatMap((sentence) => {
      const words = contentWords(sentence);
      if (sentence.length > maxSentenceLength || words.length < 2) return [];
      return {
        ordinal,
        position: 0,
        text: sentence,
        words: new Set(words),
        opening: new Set(words.slice(0, 3)),
        context,
        quality: isWhole(sentence) ? quality : quality * 0.6,
        score: 0,
      };
    }),
  );
}

/** A passage may be cut mid-sentence and lack its beginning or end. */
function isWhole(sentence: string): boolean {
  return /^[\p{Lu}\p{N}\p{Lo}"'“‘(]/u.test(sentence) && /\p{P}$/u.test(sentence);
}

/** Sentences, with a short lead-in ("Fencing.") joined to the one after it. */
function statements(block: string): string[] {
  const [lead = "", next, ...rest] = sentences(block);
  if (next === undefined || lead.split(" ").length > 4) return sentences(block);
  return [`${lead.replace(/[.:]$/, "")}: ${next}`, ...rest];
}

/** Paragraphs, list items and table rows as plain text, without code, headings and table rules. */
function blocks(markdown: string): { text: string; quality: number }[] {
  const found: { text: string; quality: number }[] = [];
  let paragraph: string[] = [];
  let inFence = false;
  const flush = () => {
    if (paragraph.length > 0) found.push({ text: withoutMarkup(paragraph.join(" ")), quality: 1 });
    paragraph = [];
  };
  for (const line of markdown.split("\n")) {
    const trimmed = line.trim();
    if (/^(```|~~~)/.test(trimmed)) {
      flush();
      inFence = !inFence;
    } else if (inFence) {
    } else if (trimmed === "" || /^(#{1,6}\s|[-*_=]{3,}$)/.test(trimmed)) {
      flush();
    } else if (trimmed.startsWith("|")) {
      flush();
      const cells = trimmed.split("|").map(withoutMarkup).filter(Boolean);
      // The row above the rule holds column names only.
      if (cells.every((cell) => /^[-: ]+$/.test(cell))) found.pop();
      else found.push({ text: cells.join(" – "), quality: 0.7 });
    } else {
      const item = /^(?:[-*+]|\d{1,3}[.)]|>)\s(.*)$/s.exec(trimmed);
      if (item) flush();
      paragraph.push(item?.[1]?.trim() ?? trimmed);
    }
  }
  flush();
  return found.filter(({ text }) => text !== "");
}

/**
 * Rare question words weigh more; one that no sentence contains still counts and lowers every
 * share.
 */
function weigh(questionWords: Set<string>, candidates: Candidate[]): Map<string, number> {
  return new Map(
    Array.from(questionWords, (word) => {
      const holders = candidates.filter((candidate) => strength(candidate, word) > 0).length;
      return [word, 0.5 + Math.log(1 + (candidates.length - holders + 0.5) / (holders + 0.5))];
    }),
  );
}

function strength({ words, opening, context }: Candidate, word: string): number {
  if (words.has(word)) return opening.has(word) ? 1.25 : 1;
  return context.has(word) ? 0.5 : 0;
}

function same(a: Candidate, b: Candidate): boolean {
  const [small, large] = a.words.size <= b.words.size ? [a.words, b.words] : [b.words, a.words];
  return [...small].filter((word) => large.has(word)).length / small.size >= duplicateThreshold;
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const each of numbers) total += each;
  return total;
}
