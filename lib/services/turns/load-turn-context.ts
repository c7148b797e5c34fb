// Loads what a dialect may know of a turn besides its chunks. Everything is as of the turn's start,
// whenever it is loaded: the same turn gives the same context, and so the same bytes
// (docs/protocol.md §2).
import { findChat } from "@/db/chats";
import { listBranch } from "@/db/messages";
import type { TurnRow } from "@/db/turns";
import { AppError } from "@/lib/errors";
import { toStored } from "@/lib/services/chats/messages";
import type { ChatContext, ContextScope, TurnContext } from "@/lib/turn/turn-context";
import { storedRequestOf } from "./stored-request";

/** For a longer chat, dialects that load the branch get the newest messages. */
const branchLimits = { maxMessages: 200, maxBytes: 8 * 1024 * 1024 };

/** Throws not_found if the chat is gone. Anything beyond the turn costs one query each. */
export async function loadTurnContext(turn: TurnRow, knows: ContextScope): Promise<TurnContext> {
  const { modelName, model, view, prompt } = storedRequestOf(turn);
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
    title: storedRequestOf(turn).chatTitle ?? chat.title,
    createdAt: chat.createdAt.toISOString(),
    // The transaction that started the turn updated the chat at the same instant.
    updatedAt: turn.createdAt.toISOString(),
    // What precedes a question never changes: regenerated answers are its siblings.
    messages: rows.map(toStored),
  };
}
