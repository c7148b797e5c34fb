import type { ChatMessage } from "@/lib/turn/chunks";
import { isCutOff } from "@/lib/turn/cut-off";
import { textOf } from "@/lib/turn/fold";

/** Ended before its time, with something to go on from. */
export function canContinue({ role, metadata, parts }: ChatMessage): boolean {
  const status = metadata?.status;
  if (role !== "assistant" || status === undefined) return false;
  return status === "complete" ? isCutOff({ metadata, parts }) : textOf({ parts }) !== "";
}

/**
 * The messages as they are read: one answer to each question, which loses no word while it is written. An answer that broke
 * off goes on in another message, and that one begins as a replay of it, as every stream does that is joined in the middle.
 * `shown` is what is on the page, `asked` the broken answer that was asked to go on and may not have begun to.
 */
export function asRead(messages: ChatMessage[], shown: ChatMessage[], asked: string | null): ChatMessage[] {
  const read = messages.filter(({ role }, index) => role === "user" || messages[index + 1]?.role !== "assistant");
  const answer = read.at(-1);
  const before = shown.at(-1);
  if (!answer?.metadata) return read;
  if (answer.id === asked) {
    const metadata = {
      ...answer.metadata,
      status: undefined,
      error: undefined,
      finishReason: undefined,
      continues: asked,
    };
    return [...read.slice(0, -1), { ...answer, metadata }];
  }
  return before && isBehind(answer, before) ? [...read.slice(0, -1), { ...answer, parts: before.parts }] : read;
}

/** A running answer whose replay has not yet come to where the page is. */
function isBehind(answer: ChatMessage, before: ChatMessage): boolean {
  if (answer.metadata?.status) return false;
  if (answer.id === before.id && answer.parts.length < before.parts.length) return true;
  const isSame = answer.id === before.id || answer.metadata?.continues === before.id;
  return isSame && textOf(answer).length < textOf(before).length;
}
