// Joining adjacent deltas of one part. The log does it while a commit is under way, a replay without a cursor
// and the fold do it to a whole turn. The joined chunk takes the place of the last one it holds, so a cursor
// at it means the same as before. Pure.
import type { LoggedChunk, TurnChunk } from "./chunks";

/** Keeps a stored chunk well under the 256 KiB that a reader may have in flight. */
const maxDeltaLength = 16_384;

/** The two chunks as one, or null when they must stay apart. Neither is changed. */
export function joinDeltas(first: TurnChunk, second: TurnChunk, maxLength = maxDeltaLength): TurnChunk | null {
  if (
    (first.type === "text-delta" || first.type === "reasoning-delta") &&
    second.type === first.type &&
    second.id === first.id &&
    !first.providerMetadata &&
    !second.providerMetadata &&
    first.delta.length + second.delta.length <= maxLength
  ) {
    return { type: first.type, id: first.id, delta: first.delta + second.delta };
  }
  if (
    first.type === "tool-input-delta" &&
    second.type === "tool-input-delta" &&
    first.toolCallId === second.toolCallId &&
    first.inputTextDelta.length + second.inputTextDelta.length <= maxLength
  ) {
    return { ...first, inputTextDelta: first.inputTextDelta + second.inputTextDelta };
  }
  return null;
}

/** The same text in chunks small enough to be stored and sent. Almost always the chunk itself. */
export function splitDelta(chunk: TurnChunk): TurnChunk[] {
  if (chunk.type !== "text-delta" && chunk.type !== "reasoning-delta") return [chunk];
  if (chunk.delta.length <= maxDeltaLength) return [chunk];
  const pieces: TurnChunk[] = [];
  for (let start = 0; start < chunk.delta.length; ) {
    let end = Math.min(start + maxDeltaLength, chunk.delta.length);
    // Half a surrogate pair is not a character: leave both halves to the next piece.
    if (end < chunk.delta.length && (chunk.delta.charCodeAt(end - 1) & 0xfc00) === 0xd800) end -= 1;
    pieces.push({ ...chunk, delta: chunk.delta.slice(start, end) });
    start = end;
  }
  return pieces;
}

/** Appends to `chunks` in place, joining with its last element where possible. */
export function pushJoined(chunks: TurnChunk[], chunk: TurnChunk, maxLength = maxDeltaLength): void {
  const last = chunks.at(-1);
  const joined = last && joinDeltas(last, chunk, maxLength);
  if (joined) chunks[chunks.length - 1] = joined;
  else chunks.push(chunk);
}

/** A run of logged chunks with adjacent deltas joined: same fold, fewer frames. */
export function compactChunks(logged: LoggedChunk[]): LoggedChunk[] {
  const compact: (Omit<LoggedChunk, "json"> & { json: string | null })[] = [];
  for (const entry of logged) {
    const last = compact.at(-1);
    const joined = last && joinDeltas(last.chunk, entry.chunk);
    if (joined) compact[compact.length - 1] = { seq: entry.seq, chunk: joined, json: null };
    else compact.push(entry);
  }
  return compact.map(({ seq, chunk, json }) => ({ seq, chunk, json: json ?? JSON.stringify(chunk) }));
}
