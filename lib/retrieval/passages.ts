// Splits a text into passages: the units that are searched, shown as sources and cited. Text in,
// text out: no ids, files or database. Linear in the length of any text (test/linear.test.ts).
import { RecursiveCharacterTextSplitter } from "@langchain/textsplitters";
import { truncate, withoutMarkup } from "@/lib/words";

export type Passage = {
  /** The headings above it, outermost first, joined with " › ". Empty in plain text. */
  heading: string;
  text: string;
};

/** The text has more passages than a document may have. */
export class TooManyPassages extends Error {}

/**
 * Three times what 10 MiB of prose yield. Otherwise a document of nothing but headings would become
 * a million rows, each with its heading path.
 */
export const maxPassages = 40_000;

/**
 * Characters: about 250 tokens, a few paragraphs. Six of them fit every model and are readable as
 * sources.
 */
const passageLength = 1000;
/** Characters, about a sentence: text at a cut stays together in one of the two. */
const overlap = 120;

/** Characters given to the splitter at once: it builds an array of all words. */
const stride = 16_000;
/** The title must appear within this many characters. */
const titleWithin = 20_000;
/** Characters of one heading, and of the heading path stored with each passage. */
const maxHeadingLength = 200;
const maxPathLength = 400;
/** Characters of a code fence's opening line, repeated in each passage of that code. */
const maxFenceInfoLength = 80;

/**
 * In reading order, none empty or longer than about 1,200 characters. With `markdown` no passage
 * crosses a heading, heading lines become `heading`, and a split code fence is closed and reopened.
 * Throws TooManyPassages.
 */
export async function splitPassages(text: string, { markdown }: { markdown: boolean }): Promise<Passage[]> {
  // More than one blank line means nothing, and a file full of them would cost seconds.
  const normal = text.replace(/\r\n?/g, "\n").replace(/\n{3,}/g, "\n\n");
  const passages: Passage[] = [];
  const add = (passage: Passage) => {
    if (passages.length === maxPassages) throw new TooManyPassages();
    passages.push(passage);
  };
  if (!markdown) for await (const { text } of split({ start: 0, text: normal })) add({ heading: "", text });
  else {
    const fenceAt = fencesOf(normal);
    for (const { heading, ...section } of sectionsOf(normal))
      for await (const { start, text } of split(section)) add({ heading, text: withWholeFences(text, fenceAt(start)) });
  }
  return passages;
}

/** The first `# heading` outside code, if near the top; else null. */
export function firstHeading(markdown: string): string | null {
  for (const line of linesOf(markdown.slice(0, titleWithin))) if (line.heading?.level === 1) return line.heading.text;
  return null;
}

/** A stretch of the text, and where it starts. */
type Piece = { start: number; text: string };
type Section = Piece & { heading: string };

type Heading = { level: number; text: string };
/** A code fence: its bars, and its opening line. */
type Fence = { bars: string; line: string };
/** `fence` is the one open after the line. */
type Line = Piece & { fence: Fence | null; heading: Heading | null };

function* linesOf(markdown: string): Generator<Line> {
  let fence: Fence | null = null;
  for (let start = 0; start <= markdown.length; ) {
    const end = markdown.indexOf("\n", start);
    const text = markdown.slice(start, end < 0 ? undefined : end);
    const heading = fence ? null : headingOf(text);
    fence = fenceAfter(fence, text);
    yield { start, text, fence, heading };
    start = end < 0 ? markdown.length + 1 : end + 1;
  }
}

function headingOf(line: string): Heading | null {
  const [opening, marks] = /^ {0,3}(#{1,6})(?=\s)/.exec(line) ?? [];
  if (!opening || !marks) return null;
  const title = withoutClosingMarks(line.slice(opening.length).trim());
  return title ? { level: marks.length, text: withoutMarkup(truncate(title, maxHeadingLength)) } : null;
}

/** `Title ##` → `Title`. */
function withoutClosingMarks(title: string): string {
  let end = title.length;
  while (end > 0 && title[end - 1] === "#") end -= 1;
  const before = title.slice(0, end);
  return before === "" || before.trimEnd() === before ? title : before.trimEnd();
}

/** Without the heading lines. A long section is cut, so that memory stays bounded. */
function* sectionsOf(markdown: string): Generator<Section> {
  const path: string[] = [];
  let from = 0;
  const sectionTo = (end: number) => ({ heading: pathOf(path), start: from, text: markdown.slice(from, end) });
  for (const { start, text, heading } of linesOf(markdown)) {
    const length = start - from;
    if (heading || length > stride || (length > stride / 2 && text === "")) {
      if (length > 0) yield sectionTo(start);
      from = start;
    }
    if (!heading) continue;
    path.length = Math.min(path.length, heading.level - 1);
    path[heading.level - 1] = heading.text;
    from = start + text.length + 1;
  }
  yield sectionTo(markdown.length);
}

function pathOf(headings: string[]): string {
  return truncate(headings.filter(Boolean).join(" › "), maxPathLength);
}

// No single-character separator: it would split emoji. Text without spaces is cut below.
const splitter = new RecursiveCharacterTextSplitter({
  chunkSize: passageLength,
  chunkOverlap: overlap,
  separators: ["\n\n", "\n", ". ", " "],
});

async function* split(section: Piece): AsyncGenerator<Piece> {
  for (const { start, text } of cut(section, stride)) {
    let from = 0;
    for (const found of await splitter.splitText(text)) {
      // The splitter keeps its separators, so every piece is a substring of the text.
      const at = text.indexOf(found, from);
      from = at + 1;
      for (const piece of cut({ start: start + at, text: found }, passageLength)) {
        const trimmed = piece.text.trim();
        if (trimmed) yield { ...piece, text: trimmed };
      }
    }
  }
}

/**
 * Pieces of at most `limit` characters, cut at white space if there is some in their second half.
 */
function* cut({ start, text }: Piece, limit: number): Generator<Piece> {
  let at = 0;
  while (text.length - at > limit) {
    const stretch = text.slice(at, at + limit);
    const space = Math.max(stretch.lastIndexOf("\n"), stretch.lastIndexOf(" "));
    const full = truncate(stretch, limit).length;
    const length = space > limit / 2 ? space : full;
    yield { start: start + at, text: text.slice(at, at + length) };
    at += length;
  }
  yield { start: start + at, text: text.slice(at) };
}

/** Reopens the fence in which the text starts, and closes the one in which it ends. */
function withWholeFences(text: string, open: Fence | null): string {
  const opened = open ? `${open.line}\n${text}` : text;
  let fence: Fence | null = null;
  for (const line of opened.split("\n")) fence = fenceAfter(fence, line);
  return fence ? `${opened}\n${fence.bars}` : opened;
}

/** Returns the fence open at a position. Positions must not decrease. */
function fencesOf(markdown: string): (position: number) => Fence | null {
  const lines = linesOf(markdown);
  let next = lines.next();
  let fence: Fence | null = null;
  return (position) => {
    for (; !next.done && next.value.start < position; next = lines.next()) fence = next.value.fence;
    return fence;
  };
}

/** The fence open after a line. */
function fenceAfter(open: Fence | null, line: string): Fence | null {
  const mark = fenceOf(line);
  if (!mark || !open) return mark ?? open;
  return mark.line === mark.bars && mark.bars.startsWith(open.bars) ? null : open;
}

/**
 * Runs of more than a hundred bars are no fence: no text needs them, and each passage would repeat
 * them.
 */
function fenceOf(line: string): Fence | null {
  const [, bars, info = ""] = /^ {0,3}(`{3,100}|~{3,100})(.*)$/s.exec(line) ?? [];
  if (!bars || (bars.startsWith("`") && info.includes("`"))) return null;
  return { bars, line: bars + truncate(info.trim(), maxFenceInfoLength) };
}
