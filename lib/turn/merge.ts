// Joins adjacent deltas of one part: in the log while a commit is in flight, in a replay without a
// cursor, and in the fold. The joined chunk takes the position of its last delta, so a cursor on it
// keeps its meaning. Pure.
import type { LoggedChunk, TurnChunk } from "./chunks.ts";
import { maxDeltaLength } from "./pacing.ts";

/** The joined chunk, or null if the two must stay apart. Inputs are not modified. */
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

/** Splits an oversized delta for storage and transport. Almost always returns the chunk itself. */
export function splitDelta(chunk: TurnChunk): TurnChunk[] {
  if (chunk.type !== "text-delta" && chunk.type !== "reasoning-delta") return [chunk];
  if (chunk.delta.length <= maxDeltaLength) return [chunk];
  const pieces: TurnChunk[] = [];
  for (let start = 0; start < chunk.delta.length; ) {
    let end = Math.min(start + maxDeltaLength, chunk.delta.length);
    // Do not split a surrogate pair: move its first half to the next piece.
    if (end < chunk.delta.length && (chunk.delta.charCodeAt(end - 1) & 0xfc00) === 0xd800) end -= 1;
    pieces.push({ ...chunk, delta: chunk.delta.slice(start, end) });
    start = end;
  }
  return pieces;
}

/** Appends to `chunks` in place, joined with the last element if possible. */
export function pushJoined(chunks: TurnChunk[], chunk: TurnChunk, maxLength = maxDeltaLength): void {
  const last = chunks.at(-1);
  const joined = last && joinDeltas(last, chunk, maxLength);
  if (joined) chunks[chunks.length - 1] = joined;
  else chunks.push(chunk);
}

/** Joins adjacent deltas of logged chunks: same fold, fewer frames. */
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
