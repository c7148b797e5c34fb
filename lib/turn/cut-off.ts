// Whether a complete answer is one that goes on: the provider ended it properly, and yet not where the model wanted to (docs/protocol.md §5).
// Pure; the page offers Continue by it, and the server accepts that.
import { type FinishReason, isToolUIPart } from "ai";
import type { ChatMessage, MessageMetadata } from "./chunks";
import { unfinishedTool } from "./ending";
import { textOf } from "./fold";

type Answer = { parts: ChatMessage["parts"]; metadata?: Pick<MessageMetadata, "finishReason"> | null | undefined };

const cutOff: Record<FinishReason, (parts: ChatMessage["parts"]) => boolean> = {
  stop: () => false,
  // All of the cap may have gone into reasoning: then there is nothing to go on from.
  length: hasText,
  // The next attempt would meet the same filter behind the same words.
  "content-filter": () => false,
  "tool-calls": isOutOfSteps,
  // With these two the turn failed or was interrupted.
  error: () => false,
  interrupted: () => false,
  other: hasText,
};

export function isCutOff({ parts, metadata }: Answer): boolean {
  const reason = metadata?.finishReason;
  // Answers of older versions may have another word.
  return reason !== undefined && Object.hasOwn(cutOff, reason) && cutOff[reason](parts);
}

function hasText(parts: ChatMessage["parts"]): boolean {
  return textOf({ parts }).trim() !== "";
}

/** The tools have answered, and the model had no step left to. Else the calls are a person's to allow, or the client's to run. */
export function isOutOfSteps(parts: ChatMessage["parts"]): boolean {
  const calls = parts.filter(isToolUIPart);
  return (
    calls.length > 0 &&
    calls.every(
      (call) =>
        call.state.startsWith("output-") && !(call.state === "output-error" && call.errorText === unfinishedTool),
    )
  );
}
