// Sanitizes third-party text, such as a document title, before it is shown or quoted. Pure.

/**
 * Invisible characters that change how surrounding text reads: control characters, bidi marks and
 * overrides, and tag characters, which can spell whole sentences. Joiners stay: scripts and emoji
 * need them.
 */
const invisible =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: These are what is looked for.
  /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e0fff}]/gu;

/** Strips invisible characters; keeps tabs and line feeds. */
export function visibleText(text: string): string {
  return text.replace(/\r\n?|[\u2028\u2029]/g, "\n").replace(invisible, "");
}

/** The same on one line: for titles, file names and other labels. */
export function visibleLine(text: string): string {
  return visibleText(text).replace(/\s+/g, " ").trim();
}
