// Cuts a text into passages: the pieces that are searched, shown as sources and cited. Text in, text out.
// No ids, no files, no database here. Long texts are cut in strides with other work in between: live answers of other
// users run on the same thread.
import { setImmediate } from "node:timers/promises";
import { RecursiveCharacterTextSplitter } from "@langchain/textsplitters";
import { withoutMarkup } from "@/lib/words";

export type Passage = {
  /** The headings above it, outermost first, joined with " › ". Empty in plain text. */
  heading: string;
  text: string;
};

/** Characters: about 250 tokens, a few paragraphs. Six of them fit every model and can be read as sources. */
const passageLength = 1000;
/** A sentence or so: what was cut apart still stands together in one of the two. */
const overlap = 120;

/** Characters between two breaks for other work: below 15 ms even for text made to be slow (only line ends). */
const stride = 16_000;
/** A title stands at the top. */
const titleWithin = 20_000;

/**
 * In reading order, none of them empty or longer than about 1,200 characters. With `markdown` no passage crosses a
 * heading, the heading lines become `heading`, and a code fence that is cut is closed and opened again.
 */
export async function splitPassages(text: string, { markdown }: { markdown: boolean }): Promise<Passage[]> {
  // Blank lines beyond one say nothing, and a file full of them would cost seconds.
  const normal = text.replace(/\r\n?/g, "\n").replace(/\n{3,}/g, "\n\n");
  const passages: Passage[] = [];
  let sinceBreak = 0;
  for (const section of markdown ? sectionsOf(normal) : plainSections(normal)) {
    // An empty section costs something too.
    sinceBreak += section.text.length + 100;
    if (sinceBreak > stride) {
      await setImmediate();
      sinceBreak = 0;
    }
    const fenceAt = markdown ? fencesOf(section) : () => null;
    for (const piece of await split(section.text)) {
      const found = markdown ? withWholeFences(piece.text, fenceAt(piece.start)) : piece.text;
      passages.push({ heading: section.heading, text: found });
    }
  }
  return passages;
}

/** The text of the first `# heading` outside code, when it is near the top; else null. */
export function firstHeading(markdown: string): string | null {
  for (const line of linesOf(markdown.slice(0, titleWithin))) if (line.heading?.level === 1) return line.heading.text;
  return null;
}

/** At most about a stride long. `fence` is the line that opened the code in which it begins. */
type Section = Passage & { fence: string | null };

type Line = { text: string; fence: string | null; heading?: { level: number; text: string } };

function* linesOf(markdown: string): Generator<Line> {
  let fence: string | null = null;
  for (let start = 0; start <= markdown.length; ) {
    const end = markdown.indexOf("\n", start);
    const text = markdown.slice(start, end < 0 ? undefined : end);
    start = end < 0 ? markdown.length + 1 : end + 1;
    const [, marks, title] = (fence ? null : /^ {0,3}(#{1,6})\s+(.+?)(?:\s+#+)?\s*$/.exec(text)) ?? [];
    if (marks && title) yield { text, fence, heading: { level: marks.length, text: withoutMarkup(title) } };
    else yield { text, fence };
    fence = fenceAfter(fence, fenceMark(text));
  }
}

function* sectionsOf(markdown: string): Generator<Section> {
  const path: string[] = [];
  let lines: string[] = [];
  let length = 0;
  let begins: string | null = null;
  const section = () => ({ heading: path.filter(Boolean).join(" › "), text: lines.join("\n"), fence: begins });
  for (const { text, fence, heading } of linesOf(markdown)) {
    if (heading || length > stride || (length > stride / 2 && text === "")) {
      yield section();
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

function* plainSections(text: string): Generator<Section> {
  for (const stretch of cut(text, stride)) yield { heading: "", text: stretch.text, fence: null };
}

type Piece = { start: number; text: string };

// No separator of a single character: it would cut emoji in half. What has no spaces is cut below.
const splitter = new RecursiveCharacterTextSplitter({
  chunkSize: passageLength,
  chunkOverlap: overlap,
  separators: ["\n\n", "\n", ". ", " "],
});

async function split(text: string): Promise<Piece[]> {
  const pieces: Piece[] = [];
  let from = 0;
  for (const found of await splitter.splitText(text)) {
    // The splitter keeps its separators, so every piece is a stretch of the text.
    const start = text.indexOf(found, from);
    from = start + 1;
    for (const part of cut(found, passageLength)) pieces.push({ start: start + part.start, text: part.text.trim() });
  }
  return pieces.filter((piece) => piece.text !== "");
}

/** Stretches of at most `limit` characters, at white space where the second half of a stretch has some. */
function* cut(text: string, limit: number): Generator<Piece> {
  let start = 0;
  while (text.length - start > limit) {
    const stretch = text.slice(start, start + limit);
    const space = Math.max(stretch.lastIndexOf("\n"), stretch.lastIndexOf(" "));
    // Never between the two halves of a character.
    const full = /[\ud800-\udbff]$/.test(stretch) ? limit - 1 : limit;
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

/** Tells the line that opened the fence in which a position lies. Ask with positions that never go back. */
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
  return (asked) => {
    for (let change = changes[next]; change && change.position < asked; change = changes[++next])
      current = change.fence;
    return current;
  };
}

function fenceMark(line: string): string | null {
  return /^ {0,3}(`{3,}[^`]*|~{3,}.*)$/.exec(line)?.[1]?.trim() ?? null;
}

function fenceAfter(open: string | null, mark: string | null): string | null {
  if (!mark) return open;
  if (!open) return mark;
  const bars = open.match(/^(`+|~+)/)?.[0] ?? "";
  return mark.startsWith(bars) && /^(`+|~+)$/.test(mark) ? null : open;
}
