import type { ChatMessage } from "@/lib/turn/chunks";
import { isCutOff } from "@/lib/turn/cut-off";
import { textOf } from "@/lib/turn/fold";

/** Whether the answer ended early and has something to continue from. */
export function canContinue({ role, metadata, parts }: ChatMessage): boolean {
  const status = metadata?.status;
  if (role !== "assistant" || status === undefined) return false;
  return status === "complete" ? isCutOff({ metadata, parts }) : textOf({ parts }) !== "";
}

/**
 * The messages as shown: one answer per question, which never loses a word while it is written. A
 * broken answer continues in another message, which begins as a replay, like every stream joined
 * midway. `shown` is what the page shows, `continuing` the broken answer whose continuation was
 * requested and may not have begun.
 */
export function visibleMessages(
  messages: ChatMessage[],
  shown: ChatMessage[],
  continuing: string | null,
): ChatMessage[] {
  const read = messages.filter(({ role }, index) => role === "user" || messages[index + 1]?.role !== "assistant");
  const answer = read.at(-1);
  const before = shown.at(-1);
  if (!answer?.metadata) return read;
  if (answer.id === continuing) {
    const metadata = {
      ...answer.metadata,
      status: undefined,
      error: undefined,
      finishReason: undefined,
      continues: continuing,
    };
    return [...read.slice(0, -1), { ...answer, metadata }];
  }
  return before && isCatchingUp(answer, before) ? [...read.slice(0, -1), { ...answer, parts: before.parts }] : read;
}

/** A running answer whose replay has not caught up with the page. */
function isCatchingUp(answer: ChatMessage, before: ChatMessage): boolean {
  if (answer.metadata?.status) return false;
  if (answer.id === before.id && answer.parts.length < before.parts.length) return true;
  const isSame = answer.id === before.id || answer.metadata?.continues === before.id;
  return isSame && textOf(answer).length < textOf(before).length;
}
