// A long text in sections, so that what it costs to draw does not grow with what is drawn already: a finished section is
// neither looked at again nor laid out while it is out of sight. Where blocks end is Streamdown's to say.
import { parseMarkdownIntoBlocks } from "streamdown";

export type Sections = { text: string; finished: readonly string[]; last: string };

const none: Sections = { text: "", finished: [], last: "" };
/** Some screens: short enough to be parsed within a frame, long enough that there are few. */
const sectionLength = 4_000;
/** Of a link or a footnote: what is said before may mean it, so such a text stays in one piece. */
const definition = /^ {0,3}\[[^\]\n\r\u2028\u2029]+\]:/m;

/** The sections of a text, which usually goes on where `before` ended: then those that were finished stay as they are. */
export function sectionsOf(text: string, before: Sections = none): Sections {
  const known = text.startsWith(before.text) ? before : none;
  const rest = text.slice(known.text.length - known.last.length);
  if (definition.test(rest)) return { text, finished: [], last: text };
  if (rest.length < sectionLength) return { text, finished: known.finished, last: rest };
  const blocks = parseMarkdownIntoBlocks(rest);
  // Line ends may have been changed.
  if (blocks.join("") !== rest) return { text, finished: known.finished, last: rest };
  const finished: string[] = [];
  let [start, end] = [0, 0];
  // The last two blocks may still become one with what is to come.
  for (const block of blocks.slice(0, -2)) {
    end += block.length;
    if (end - start < sectionLength || !block.endsWith("\n\n")) continue;
    finished.push(rest.slice(start, end));
    start = end;
  }
  return { text, finished: [...known.finished, ...finished], last: rest.slice(start) };
}
