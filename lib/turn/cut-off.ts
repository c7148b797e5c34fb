// Decides whether a complete answer can be continued: the provider ended it properly, but before
// the model was done (docs/protocol.md §5). Pure. The page offers Continue by this, and the server
// enforces it.
import { type FinishReason, isToolUIPart } from "ai";
import type { ChatMessage, MessageMetadata } from "./chunks";
import { unfinishedTool } from "./ending";
import { textOf } from "./fold";

type Answer = { parts: ChatMessage["parts"]; metadata?: Pick<MessageMetadata, "finishReason"> | null | undefined };

const cutOff: Record<FinishReason, (parts: ChatMessage["parts"]) => boolean> = {
  stop: () => false,
  // Reasoning may have used the whole cap, leaving nothing to continue from.
  length: hasText,
  // A retry would hit the same filter after the same words.
  "content-filter": () => false,
  "tool-calls": isOutOfSteps,
  // With these two the turn is failed or interrupted, not complete.
  error: () => false,
  interrupted: () => false,
  other: hasText,
};

export function isCutOff({ parts, metadata }: Answer): boolean {
  const reason = metadata?.finishReason;
  // Answers stored by older versions may hold other values.
  return reason !== undefined && Object.hasOwn(cutOff, reason) && cutOff[reason](parts);
}

function hasText(parts: ChatMessage["parts"]): boolean {
  return textOf({ parts }).trim() !== "";
}

/**
 * True if the server's tools answered but the step limit was reached. Otherwise the calls wait for
 * consent or for the client to run them.
 */
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
