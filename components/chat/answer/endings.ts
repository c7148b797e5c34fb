// What the page says about an answer's ending, one entry per ending (docs/protocol.md §4).
import type { FinishReason } from "ai";
import { openRequests } from "@/lib/turn/approval";
import type { ChatMessage, FinalState } from "@/lib/turn/chunks";
import { isOutOfSteps } from "@/lib/turn/cut-off";

export type AnswerEnding = {
  /** Announced by screen readers when the answer ends. */
  announced: string;
  /** Shown below the answer. */
  note?: { word: string; says: string };
};

const complete: AnswerEnding = { announced: "Answer complete." };

const cutOff = (says: string): AnswerEnding => ({
  announced: `Answer cut off. ${says}`,
  note: { word: "Cut off", says },
});

/** For complete answers. */
export const byFinishReason: Record<FinishReason, (parts: ChatMessage["parts"]) => AnswerEnding> = {
  stop: () => complete,
  length: () => cutOff("The answer reached its length limit."),
  "content-filter": () => cutOff("The provider’s content filter ended this answer."),
  "tool-calls": (parts) => {
    if (openRequests(parts).length > 0) return { announced: "This answer needs your consent to continue." };
    // Other calls are run by the client that requested them.
    return isOutOfSteps(parts) ? cutOff("The answer reached its limit of tool calls.") : complete;
  },
  other: () => cutOff("The provider did not say why the answer ends here."),
  // Not complete answers: `byStatus` covers them.
  error: () => complete,
  interrupted: () => complete,
};

const byStatus: Record<Exclude<FinalState, "complete">, AnswerEnding> = {
  stopped: { announced: "Answer stopped.", note: { word: "Stopped", says: "The text up to here is kept." } },
  interrupted: {
    announced: "Answer interrupted.",
    note: { word: "Interrupted", says: "The text up to here was kept." },
  },
  // Its error is shown separately.
  failed: { announced: "Answer failed." },
};

/** Null while the answer is being written. */
export function endingOf({ metadata, parts }: ChatMessage): AnswerEnding | null {
  const { status, finishReason } = metadata ?? {};
  if (!status) return null;
  if (status !== "complete") return byStatus[status];
  // Answers of older versions may have no reason, or an unknown one.
  return finishReason && Object.hasOwn(byFinishReason, finishReason) ? byFinishReason[finishReason](parts) : complete;
}
