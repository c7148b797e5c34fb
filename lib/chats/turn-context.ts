// What a dialect may know of a turn besides its chunks. Everything is as of the turn's start, whenever it is asked for:
// the same turn gives the same context, and so the same bytes (docs/protocol.md §2).
import { findChat } from "@/db/chats";
import { listMessages } from "@/db/messages";
import type { TurnRow } from "@/db/turns";
import { AppError } from "@/lib/errors";
import type { ChatContext, TurnContext } from "@/lib/turn/turn-context";
import { branchOf } from "./branch";
import { toStored } from "./messages";
import type { TurnSettings } from "./turn-request";

/** Throws not_found when the chat is gone. `withChat` costs two queries. */
export async function loadTurnContext(turn: TurnRow, { withChat }: { withChat: boolean }): Promise<TurnContext> {
  const { modelName, model, view } = turn.request as TurnSettings;
  return {
    turnId: turn.id,
    chatId: turn.chatId,
    messageId: turn.messageId,
    userMessageId: turn.userMessageId,
    model: modelName ?? model,
    createdAt: turn.createdAt.toISOString(),
    view: view ?? {},
    chat: withChat ? await loadChat(turn) : null,
  };
}

async function loadChat(turn: TurnRow): Promise<ChatContext> {
  const { userId, chatId } = turn;
  const [chat, rows] = await Promise.all([findChat(userId, chatId), listMessages(userId, chatId)]);
  if (!chat) throw new AppError("not_found", "There is no such chat.");
  return {
    number: chat.number,
    title: (turn.request as TurnSettings).chatTitle ?? chat.title,
    createdAt: chat.createdAt.toISOString(),
    // The chat was touched by the transaction that began the turn, at the same instant.
    updatedAt: turn.createdAt.toISOString(),
    // What is above a question never changes: answers made again are its siblings.
    messages: branchOf(rows, turn.userMessageId).map(toStored),
  };
}
