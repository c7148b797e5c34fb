// Text that somebody else wrote, such as a document's title: made harmless before it is shown or quoted. Pure.

/**
 * What changes how text around it is read and is not seen itself: control characters, marks and overrides of the writing
 * direction, and the invisible tag characters that can spell whole sentences. Joiners stay: scripts and emoji need them.
 */
const invisible =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: These are what is looked for.
  /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e0fff}]/gu;

/** Without invisible characters; tabs and line feeds stay. */
export function visibleText(text: string): string {
  return text.replace(/\r\n?|[\u2028\u2029]/g, "\n").replace(invisible, "");
}

/** The same as one line: for titles, names of files and other labels. */
export function visibleLine(text: string): string {
  return visibleText(text).replace(/\s+/g, " ").trim();
}
