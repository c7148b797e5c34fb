// Going on with an answer that ended too soon: a turn of its own, whose answer is a sibling of the old one and whose log begins
// with what that one had said (docs/protocol.md §5, decision 0010).
import { listMessages } from "@/db/messages";
import { findTurn } from "@/db/turns";
import { AppError } from "@/lib/errors";
import { keptChunks } from "@/lib/turn/begun";
import type { ChatMessage, TurnChunk } from "@/lib/turn/chunks";
import { textOf } from "@/lib/turn/fold";
import { branchOf } from "./branch";
import type { TurnSettings } from "./turn-request";

export type Continuation = {
  /** The answer that is continued, and the question it answers. */
  messageId: string;
  question: string;
  /** What its turn was asked for. */
  settings: TurnSettings;
  /** What the new log holds behind its opening. */
  kept: TurnChunk[];
};

/**
 * What there is to go on from. `messageId` defaults to the last answer in view. Throws not_found when the chat has no such
 * message, turn_running while it is being written, bad_request when it is no answer that can be continued.
 */
export async function requireContinuation(userId: string, chatId: string, messageId?: string): Promise<Continuation> {
  const rows = await listMessages(userId, chatId);
  const answer = messageId
    ? rows.find(({ id }) => id === messageId)
    : branchOf(rows).findLast(({ role }) => role === "assistant");
  if (!answer) throw new AppError("not_found", "There is no such message in this chat.");
  const refuse = (why: string) => new AppError("bad_request", `messageId: ${why}`);
  if (answer.role !== "assistant") throw refuse("names a question. Only an answer can be continued.");
  if (answer.status === "running")
    throw new AppError("turn_running", "This answer is still being written. Wait for it or stop it first.", {
      ...(answer.turnId ? { details: { turnId: answer.turnId } } : {}),
    });
  if (answer.status === "complete") throw refuse("this answer is complete: there is nothing to continue.");
  const parts = answer.parts as ChatMessage["parts"];
  if (answer.status === "failed" && textOf({ parts }).trim() === "")
    throw refuse("nothing of this answer was written. Use regenerate-message to ask for it again.");
  const turn = answer.turnId && (await findTurn(userId, answer.turnId));
  if (!turn || !answer.parentId) throw new Error(`answer ${answer.id} has no turn or no question`);
  return {
    messageId: answer.id,
    question: answer.parentId,
    settings: turn.request as TurnSettings,
    kept: keptChunks(parts),
  };
}
