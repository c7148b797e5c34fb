// What a dialect may know of a turn besides its chunks. Everything is as of the turn's start, whenever it is asked for:
// the same turn gives the same context, and so the same bytes (docs/protocol.md §2).
import { findChat } from "@/db/chats";
import { listBranch } from "@/db/messages";
import type { TurnRow } from "@/db/turns";
import { AppError } from "@/lib/errors";
import type { ChatContext, Knows, TurnContext } from "@/lib/turn/turn-context";
import { toStored } from "./messages";
import type { TurnSettings } from "./turn-request";

/** Of a chat longer than this, a dialect that knows the branch shows the newest messages. */
const branchLimits = { maxMessages: 200, maxBytes: 8 * 1024 * 1024 };

/** Throws not_found when the chat is gone. More than the turn costs a query each. */
export async function loadTurnContext(turn: TurnRow, knows: Knows): Promise<TurnContext> {
  const { modelName, model, view, prompt } = turn.request as TurnSettings;
  return {
    turnId: turn.id,
    chatId: turn.chatId,
    messageId: turn.messageId,
    userMessageId: turn.userMessageId,
    model: modelName ?? model,
    createdAt: turn.createdAt.toISOString(),
    view: view ?? {},
    ...(prompt?.echo && { promptEcho: prompt.echo }),
    chat: knows === "turn" ? null : await loadChat(turn, knows === "branch"),
  };
}

async function loadChat(turn: TurnRow, withBranch: boolean): Promise<ChatContext> {
  const { userId, chatId } = turn;
  const [chat, rows] = await Promise.all([
    findChat(userId, chatId),
    withBranch ? listBranch(userId, chatId, { leafId: turn.userMessageId, ...branchLimits }) : [],
  ]);
  if (!chat) throw new AppError("not_found", "There is no such chat.");
  return {
    number: chat.number,
    title: (turn.request as TurnSettings).chatTitle ?? chat.title,
    createdAt: chat.createdAt.toISOString(),
    // The chat was touched by the transaction that began the turn, at the same instant.
    updatedAt: turn.createdAt.toISOString(),
    // What is above a question never changes: answers made again are its siblings.
    messages: rows.map(toStored),
  };
}
