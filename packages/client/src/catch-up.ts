// Chunks that lead from a partially received stream to the stored message (docs/protocol.md §4).
// Pure.
import type { ChunkState } from "../../../lib/turn/chunk-state.ts";
import type { ChatMessage, TurnChunk } from "../../../lib/turn/chunks.ts";
import { unfoldMessage } from "../../../lib/turn/fold.ts";

/**
 * Chunks that turn the fold of what was received into exactly `stored`, terminal included.
 *
 * In one stream a second `start` does not clear the message, but `reset-step` clears the current
 * step with its open parts. Earlier steps are complete and stay. Data parts are replaced by id, so
 * those of earlier steps are sent again: their state may have changed.
 */
export function catchUp(stored: ChatMessage, received: ChunkState): TurnChunk[] {
  const [start, ...rest] = unfoldMessage(stored) as [TurnChunk, ...TurnChunk[]];
  // Nothing came yet: the first chunk names the turn.
  if (!received.metadata.turnId) return [start, ...rest];
  const chunks: TurnChunk[] = [start, { type: "reset-step" }];
  let steps = 0;
  for (const chunk of rest) {
    if (steps >= received.steps || chunk.type.startsWith("data-")) chunks.push(chunk);
    if (chunk.type === "start-step") steps += 1;
  }
  return chunks;
}
