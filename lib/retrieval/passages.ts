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
  for (const section of markdown ? sectionsOf(normal) : [{ heading: "", text: normal, fence: null }]) {
    const fenceAt = markdown ? fencesOf(section) : () => null;
    for (const { start, text: stretch } of cut(section.text, stride)) {
      for (const piece of await split(stretch)) {
        const found = markdown ? withWholeFences(piece.text, fenceAt(start + piece.start)) : piece.text;
        if (passages.length === maxPassages) throw new TooManyPassages();
        passages.push({ heading: section.heading, text: found });
      }
    }
  }
  return passages;
}

/** The first `# heading` outside code, if near the top; else null. */
export function firstHeading(markdown: string): string | null {
  for (const line of linesOf(markdown.slice(0, titleWithin))) if (line.heading?.level === 1) return line.heading.text;
  return null;
}

/** `fence`: the opening line of the code block it starts in. */
type Section = Passage & { fence: string | null };

type Heading = { level: number; text: string };
type Line = { text: string; fence: string | null; heading: Heading | null };

function* linesOf(markdown: string): Generator<Line> {
  let fence: string | null = null;
  for (let start = 0; start <= markdown.length; ) {
    const end = markdown.indexOf("\n", start);
    const text = markdown.slice(start, end < 0 ? undefined : end);
    start = end < 0 ? markdown.length + 1 : end + 1;
    yield { text, fence, heading: fence ? null : headingOf(text) };
    fence = fenceAfter(fence, fenceMark(text));
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

function* sectionsOf(markdown: string): Generator<Section> {
  const path: string[] = [];
  let lines: string[] = [];
  let length = 0;
  let begins: string | null = null;
  const section = () => ({ heading: pathOf(path), text: lines.join("\n"), fence: begins });
  for (const { text, fence, heading } of linesOf(markdown)) {
    if (heading || length > stride || (length > stride / 2 && text === "")) {
      if (length > 0) yield section();
      lines = [];
      length = 0;
      begins = fence;
    }
    if (heading) {
      path.length = Math.min(path.length, heading.level - 1);
      path[heading.level - 1] = heading.text;
    } else {
      lines.push(text);
      length += text.length + 1;
    }
  }
  yield section();
}

function pathOf(headings: string[]): string {
  return truncate(headings.filter(Boolean).join(" › "), maxPathLength);
}

type Piece = { start: number; text: string };

// No single-character separator: it would split emoji. Text without spaces is cut below.
const splitter = new RecursiveCharacterTextSplitter({
  chunkSize: passageLength,
  chunkOverlap: overlap,
  separators: ["\n\n", "\n", ". ", " "],
});

async function split(text: string): Promise<Piece[]> {
  const pieces: Piece[] = [];
  let from = 0;
  for (const found of await splitter.splitText(text)) {
    // The splitter keeps its separators, so every piece is a substring of the text.
    const start = text.indexOf(found, from);
    from = start + 1;
    for (const part of cut(found, passageLength)) pieces.push({ start: start + part.start, text: part.text.trim() });
  }
  return pieces.filter((piece) => piece.text !== "");
}

/**
 * Pieces of at most `limit` characters, cut at white space if there is some in their second half.
 */
function* cut(text: string, limit: number): Generator<Piece> {
  let start = 0;
  while (text.length - start > limit) {
    const stretch = text.slice(start, start + limit);
    const space = Math.max(stretch.lastIndexOf("\n"), stretch.lastIndexOf(" "));
    const full = truncate(stretch, limit).length;
    const length = space > limit / 2 ? space : full;
    yield { start, text: text.slice(start, start + length) };
    start += length;
  }
  yield { start, text: text.slice(start) };
}

function withWholeFences(text: string, open: string | null): string {
  const opened = open ? `${open}\n${text}` : text;
  let fence: string | null = null;
  for (const line of opened.split("\n")) fence = fenceAfter(fence, fenceMark(line));
  return fence ? `${opened}\n${fence.match(/^(`+|~+)/)?.[0]}` : opened;
}

/** Returns the opening line of the fence at a position. Positions must not decrease. */
function fencesOf({ text, fence: begins }: Section): (position: number) => string | null {
  const changes: { position: number; fence: string | null }[] = [];
  let fence = begins;
  let position = 0;
  for (const line of text.split("\n")) {
    const after = fenceAfter(fence, fenceMark(line));
    if (after !== fence) changes.push({ position, fence: after });
    fence = after;
    position += line.length + 1;
  }
  let next = 0;
  let current = begins;
  return (requested) => {
    for (let change = changes[next]; change && change.position < requested; change = changes[++next])
      current = change.fence;
    return current;
  };
}

/**
 * Runs of more than a hundred bars are no fence: no text needs them, and each passage would repeat
 * them.
 */
function fenceMark(line: string): string | null {
  const [, bars, info = ""] = /^ {0,3}(`{3,100}|~{3,100})(.*)$/s.exec(line) ?? [];
  if (!bars || (bars.startsWith("`") && info.includes("`"))) return null;
  return bars + truncate(info.trim(), maxFenceInfoLength);
}

function fenceAfter(open: string | null, mark: string | null): string | null {
  if (!mark) return open;
  if (!open) return mark;
  const bars = open.match(/^(`+|~+)/)?.[0] ?? "";
  return mark.startsWith(bars) && /^(`+|~+)$/.test(mark) ? null : open;
}
