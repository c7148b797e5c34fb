// Splits text so that an event fits one TCP segment: for formats whose clients parse each network
// read separately (docs/protocol.md §6.2). Pure.

/**
 * For one event, or one write of several: IPv6 guarantees 1,280 bytes per packet, about 80 of which
 * are headers and framing.
 */
export const maxSegmentBytes = 1_200;
/** Remaining bytes for text besides the event name, its id and the stream preamble. */
export const maxPieceBytes = 1_000;
/** Worst case for one UTF-16 unit: `\u0000`. */
const maxUnitBytes = 6;

/**
 * Pieces whose JSON is at most `maxBytes` each, never splitting a character. Empty text yields
 * none.
 */
export function piecesOf(text: string, maxBytes = maxPieceBytes): string[] {
  if (text.length * maxUnitBytes <= maxBytes) return text === "" ? [] : [text];
  const pieces: string[] = [];
  let begin = 0;
  let at = 0;
  let bytes = 0;
  for (const character of text) {
    const added = bytesOf(character);
    if (bytes + added > maxBytes) {
      pieces.push(text.slice(begin, at));
      begin = at;
      bytes = 0;
    }
    at += character.length;
    bytes += added;
  }
  pieces.push(text.slice(begin));
  return pieces;
}

/** Size in a frame of lib/sse.ts. */
function bytesOf(character: string): number {
  const code = character.codePointAt(0) as number;
  if (code < 0x20) return "\b\f\n\r\t".includes(character) ? 2 : 6;
  if (code < 0x80) return character === '"' || character === "\\" ? 2 : 1;
  // Escaped: characters that some clients treat as line ends, and lone surrogates.
  if (code === 0x85 || code === 0x2028 || code === 0x2029 || (code >= 0xd800 && code <= 0xdfff)) return 6;
  if (code < 0x800) return 2;
  return code < 0x10000 ? 3 : 4;
}

/** Groups blocks into writes of at most `maxBytes`. A larger block is its own write. */
export function writesOf(blocks: readonly string[], maxBytes = maxSegmentBytes): string[] {
  const writes: string[] = [];
  let last = "";
  for (const block of blocks) {
    if (last !== "" && Buffer.byteLength(last) + Buffer.byteLength(block) > maxBytes) {
      writes.push(last);
      last = "";
    }
    last += block;
  }
  if (last !== "") writes.push(last);
  return writes;
}
