// Marks calls that ran on this server as `providerExecuted` for AI SDK clients: a stock client
// answers any other call itself, or resends the message once the call has a result. Added on output
// only; to a model these are ordinary calls. Pure.
import { isToolUIPart } from "ai";
import type { ChatMessage, TurnChunk } from "./chunks";

type Part = ChatMessage["parts"][number];

const toolChunkTypes = new Set<TurnChunk["type"]>([
  "tool-input-start",
  "tool-input-available",
  "tool-input-error",
  "tool-output-available",
  "tool-output-error",
]);

/** Returns the chunk unchanged if it belongs to no call. */
export function markProviderExecuted(chunk: TurnChunk): TurnChunk {
  return toolChunkTypes.has(chunk.type) ? ({ ...chunk, providerExecuted: true } as TurnChunk) : chunk;
}

export function markPartProviderExecuted(part: Part): Part {
  return isToolUIPart(part) ? { ...part, providerExecuted: true } : part;
}
