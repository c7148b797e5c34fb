// From a half-received stream to the stored message, in chunks (docs/protocol.md §4). Pure.
import type { ChatMessage, TurnChunk } from "@/lib/turn/chunks";
import { unfoldMessage } from "@/lib/turn/fold";

/** What a reader has been given of a turn so far. */
export type Received = {
  started: boolean;
  /** `start-step` chunks. */
  steps: number;
};

/**
 * Chunks that turn the fold of what was received into exactly `stored`, terminal included.
 *
 * In one stream a second `start` does not empty the message, but `reset-step` empties the step in progress, with the
 * parts that are open in it. Earlier steps are over and stay as they are. Data parts are replaced by their id, so
 * those of earlier steps are sent again: their state may have changed since.
 */
export function catchUp(stored: ChatMessage, received: Received): TurnChunk[] {
  const [start, ...rest] = unfoldMessage(stored) as [TurnChunk, ...TurnChunk[]];
  if (!received.started) return [start, ...rest];
  const chunks: TurnChunk[] = [start, { type: "reset-step" }];
  let steps = 0;
  for (const chunk of rest) {
    if (steps >= received.steps || chunk.type.startsWith("data-")) chunks.push(chunk);
    if (chunk.type === "start-step") steps += 1;
  }
  return chunks;
}
