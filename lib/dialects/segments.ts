// Text in pieces small enough that an event with one fits a TCP segment: for formats whose clients parse each piece of the
// network's by itself (docs/protocol.md §6.2). Pure.

/** One event, and one write of several: IPv6 guarantees 1,280 bytes a packet, of which headers and framing take some 80. */
export const maxSegmentBytes = 1_200;
/** What is left for the text beside an event's name, its id and what opens a stream. */
export const maxPieceBytes = 1_000;
/** Of one UTF-16 unit in an event: `\u0000`. */
const maxUnitBytes = 6;

/** Pieces of the text whose JSON has at most `maxBytes` bytes each, never half a character. Empty text has none. */
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

/** In a frame of lib/sse.ts. */
function bytesOf(character: string): number {
  const code = character.codePointAt(0) as number;
  if (code < 0x20) return "\b\f\n\r\t".includes(character) ? 2 : 6;
  if (code < 0x80) return character === '"' || character === "\\" ? 2 : 1;
  // Escaped: what some clients take for the end of a line, and half a character.
  if (code === 0x85 || code === 0x2028 || code === 0x2029 || (code >= 0xd800 && code <= 0xdfff)) return 6;
  if (code < 0x800) return 2;
  return code < 0x10000 ? 3 : 4;
}

/** Blocks put together into writes of at most `maxBytes`. A block that is larger is a write of its own. */
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
