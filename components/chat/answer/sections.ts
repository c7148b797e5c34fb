// Splits a long text into sections, so that drawing costs do not grow with its length: a finished
// section is not parsed again and not laid out while off screen. Streamdown decides where blocks
// end.
import { parseMarkdownIntoBlocks } from "streamdown";

export type Sections = { text: string; finished: readonly string[]; last: string };

const none: Sections = { text: "", finished: [], last: "" };
/** A few screens: short enough to parse within a frame, long enough to keep the number low. */
const sectionLength = 4_000;
/** A link or footnote definition: earlier text may refer to it, so the text is not split. */
const definition = /^ {0,3}\[[^\]\n\r\u2028\u2029]+\]:/m;

/** Sections of a text. When it extends `before`, the finished sections stay unchanged. */
export function sectionsOf(text: string, before: Sections = none): Sections {
  const known = text.startsWith(before.text) ? before : none;
  const rest = text.slice(known.text.length - known.last.length);
  if (definition.test(rest)) return { text, finished: [], last: text };
  if (rest.length < sectionLength) return { text, finished: known.finished, last: rest };
  const blocks = parseMarkdownIntoBlocks(rest);
  // The parser may have changed line endings.
  if (blocks.join("") !== rest) return { text, finished: known.finished, last: rest };
  const finished: string[] = [];
  let [start, end] = [0, 0];
  // The last two blocks may still merge with text to come.
  for (const block of blocks.slice(0, -2)) {
    end += block.length;
    if (end - start < sectionLength || !block.endsWith("\n\n")) continue;
    finished.push(rest.slice(start, end));
    start = end;
  }
  return { text, finished: [...known.finished, ...finished], last: rest.slice(start) };
}
