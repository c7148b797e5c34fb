// Text as people read it: Markdown without markup, sentences, and content words. Shared by code
// that compares texts (lib/retrieval) and quotes them (lib/models/local). Pure; no index and no
// scores. Every function is linear, since texts come from users and models (test/linear.test.ts).
// The database stems by its own rules; nothing may rely on the two matching.

const sentenceBreaks = new Intl.Segmenter("en", { granularity: "sentence" });
const wordBreaks = new Intl.Segmenter("en", { granularity: "word" });

const stopWords = new Set(
  `a about above after again against all also am an and any are as at be because been before being below between both
  but by can cannot could did do does doing done down during each either else ever every few for from further get
  gets got had happen happens has have having he her here hers him his how i if in into is it its itself just let
  like may me mean means might more most much must my many neither no nor not now of off often on once one only onto or other
  our ours out over own please rather same shall she should so some such tell than that the their theirs them then
  there these they this those though through thus to too under until up upon us use used uses using very via was we
  well were what when where whether which while who whom whose why will with within without work works would yes yet
  you your yours`.split(/\s+/),
);

/** Non-empty sentences in order, trimmed. A line break ends a sentence. */
export function sentences(text: string): string[] {
  return Array.from(sentenceBreaks.segment(text), (part) => part.segment.trim()).filter(Boolean);
}

/**
 * Stems of all words but stop words, in order, with repeats. Empty for text without letters or
 * digits.
 */
export function contentWords(text: string): string[] {
  return contentWordsOfLines(text).flat();
}

/**
 * The same per line of a text. One pass for all: a segmenter per line, for 100,000 lines, holds so
 * much native memory that garbage collection becomes quadratic.
 */
export function contentWordsOfLines(text: string): string[][] {
  let words: string[] = [];
  const lines = [words];
  for (const part of wordBreaks.segment(text.toLowerCase())) {
    if (part.segment === "\n") {
      words = [];
      lines.push(words);
    }
    if (!part.isWordLike) continue;
    // The segmenter keeps snake_case together, but a question may ask for its parts.
    for (const word of part.segment.split(/[_.:]+/)) {
      const [bare] = word.split(/['’]/, 1);
      if (bare && !stopWords.has(bare)) words.push(stem(bare));
    }
  }
  return lines;
}

/** The start of a text, never splitting a surrogate pair. */
export function truncate(text: string, maxLength: number): string {
  return text.slice(0, maxLength).replace(/[\ud800-\udbff]$/, "");
}

/**
 * Inline Markdown without markup: links keep their text, code keeps its text, images vanish. Linear
 * for any input: regular expressions for this are quadratic (`[[[[…`).
 */
export function withoutMarkup(line: string): string {
  let text = replaceSpans(line, "![", (at, next) => {
    const end = destinationEnd(line, next("]", at + 2), next);
    return end === null ? null : { end, kept: "" };
  });
  const unlinked = text;
  text = replaceSpans(unlinked, "[", (at, next) => {
    const close = next("]", at + 1);
    const end = close > at + 1 ? destinationEnd(unlinked, close, next) : null;
    return end === null ? null : { end, kept: unlinked.slice(at + 1, close) };
  });
  for (const mark of ["**", "__", "~~"]) text = withoutPairs(text, mark);
  text = withoutEmphasis(text);
  text = withoutPairs(text, "`");
  const tagged = text;
  text = replaceSpans(tagged, "<", (at, next) => {
    const close = /^<\/?[a-z]/i.test(tagged.slice(at, at + 3)) ? next(">", at + 2) : -1;
    return close < 0 ? null : { end: close + 1, kept: "" };
  });
  return text.replace(/\s+/g, " ").trim();
}

/** The first `mark` at or after a position, or -1. Positions must not decrease. */
type Next = (mark: string, from: number) => number;

/** Replaces each span that begins with `opener` and that `find` accepts, from left to right. */
function replaceSpans(
  text: string,
  opener: string,
  find: (at: number, next: Next) => { end: number; kept: string } | null,
): string {
  const found = new Map<string, number>();
  // Matches are cached until passed, so all searches together read the text once.
  const next: Next = (mark, from) => {
    let at = found.get(mark);
    if (at === undefined || (at >= 0 && at < from)) at = text.indexOf(mark, from);
    found.set(mark, at);
    return at;
  };
  let result = "";
  let done = 0;
  for (let at = text.indexOf(opener); at >= 0; at = text.indexOf(opener, at)) {
    const span = find(at, next);
    if (span) result += text.slice(done, at) + span.kept;
    if (span) done = span.end;
    at = span ? span.end : at + 1;
  }
  return result + text.slice(done);
}

/** The index after `](destination)` if `close` is its first character; else null. */
function destinationEnd(text: string, close: number, next: Next): number | null {
  if (close < 0 || text[close + 1] !== "(") return null;
  const end = next(")", close + 2);
  return end < 0 ? null : end + 1;
}

function withoutPairs(text: string, mark: string): string {
  return replaceSpans(text, mark, (at, next) => {
    const begin = at + mark.length;
    const close = next(mark, begin + 1);
    return close < 0 ? null : { end: close + mark.length, kept: text.slice(begin, close) };
  });
}

/** `*word*`, but neither `2 * 3 * 4` nor `a*b*c`. */
function withoutEmphasis(text: string): string {
  const isAttached = (char: string | undefined) => char !== undefined && /[\w*]/.test(char);
  return replaceSpans(text, "*", (at, next) => {
    const close = next("*", at + 1);
    if (close <= at + 1 || /\s/.test(text[at + 1] ?? "")) return null;
    if (isAttached(text[at - 1]) || isAttached(text[close + 1])) return null;
    return { end: close + 1, kept: text.slice(at + 1, close) };
  });
}

/**
 * Strips the most common English endings only: enough to match "stored" with "stores", never a
 * dictionary.
 */
function stem(word: string): string {
  let root = word;
  if (/(?:ss|sh|ch|x)es$/.test(root)) root = root.slice(0, -2);
  else if (root.length > 4 && /ie[sd]$/.test(root)) root = `${root.slice(0, -3)}y`;
  else if (root.length > 3 && /[^sui]s$/.test(root)) root = root.slice(0, -1);
  if (root.length > 6 && /[st]ion$/.test(root)) root = root.slice(0, -3);
  else if (root.length > 5 && root.endsWith("ing")) root = single(root.slice(0, -3));
  else if (root.length > 4 && root.endsWith("ed")) root = single(root.slice(0, -2));
  else if (root.length > 5 && root.endsWith("ly")) root = root.slice(0, -2);
  return root.length > 3 && root.endsWith("e") ? root.slice(0, -1) : root;
}

/** "stopp" → "stop"; "fill" and "pass" stay as they are. */
function single(root: string): string {
  return /([bdfgmnprt])\1$/.test(root) ? root.slice(0, -1) : root;
}
