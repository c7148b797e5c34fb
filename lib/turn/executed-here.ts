// Calls that ran on this server, as the AI SDK's clients know them: `providerExecuted`. A stock client answers any other call
// itself, or sends the message back once it has a result. Said on the way out only: to a model these are calls like any
// others. Pure.
import { isToolUIPart } from "ai";
import type { ChatMessage, TurnChunk } from "./chunks";

type Part = ChatMessage["parts"][number];

const ofCalls = new Set<TurnChunk["type"]>([
  "tool-input-start",
  "tool-input-available",
  "tool-input-error",
  "tool-output-available",
  "tool-output-error",
]);

/** The same chunk when it is of no call. */
export function executedHere(chunk: TurnChunk): TurnChunk {
  return ofCalls.has(chunk.type) ? ({ ...chunk, providerExecuted: true } as TurnChunk) : chunk;
}

export function partExecutedHere(part: Part): Part {
  return isToolUIPart(part) ? { ...part, providerExecuted: true } : part;
}
