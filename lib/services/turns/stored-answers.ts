// Answers that clients retrieve by a wire format's id (docs/protocol.md §6.7): finding one,
// resolving references in a request, and making one unreadable. Unknown, foreign, unkept and
// deleted answers look the same.
import { deleteChat } from "@/db/chats";
import { findMessage, findMessages, listBranch, type MessageRow } from "@/db/messages";
import { findTurn, replaceRequest, type TurnRow } from "@/db/turns";
import { AppError } from "@/lib/errors";
import { turnLog } from "@/lib/log/turn-log";
import { toStored } from "@/lib/services/chats/messages";
import type { ChatMessage, MessageMetadata } from "@/lib/turn/chunks";
import { withoutState } from "@/lib/turn/provider-state";
import type { ReferencedMessage, ResolvedReferences, StoredMessage, TurnAnswer } from "@/lib/turn/turn-context";
import { loadTurnContext } from "./load-turn-context";
import { storedRequestOf } from "./stored-request";

/** Throws not_found. */
export async function requireRetrievableTurn(userId: string, turnId: string | null): Promise<TurnRow> {
  const turn = turnId === null ? null : await findTurn(userId, turnId);
  if (!turn || viewOf(turn).kept === false) throw new AppError("not_found", "There is no answer with this id.");
  return turn;
}

/** No conversation has more, and all would be read for one request. */
const maxReferencedMessages = 1_000;

/** The caller's own objects that these ids name. Throws bad_request for too many. */
export async function resolveReferences(
  userId: string,
  { turnId, messageIds }: { turnId?: string; messageIds: string[] },
): Promise<ResolvedReferences> {
  if (messageIds.length > maxReferencedMessages)
    throw new AppError("bad_request", `input: names items of more than ${maxReferencedMessages} messages`);
  const turn = turnId === undefined ? null : await findTurn(userId, turnId);
  const ids = turn ? [...messageIds, turn.messageId] : messageIds;
  const rows = ids.length > 0 ? await findMessages(userId, ids) : [];
  const messages = new Map(rows.map((row) => [row.id, toReferenced(row)]));
  const answer = turn && messages.get(turn.messageId);
  return { messages, ...(answer && { turn: { chatId: turn.chatId, view: viewOf(turn), answer } }) };
}

/** The stored answer of an ended turn. */
export async function readAnswer(turn: TurnRow): Promise<TurnAnswer> {
  const [context, row] = await Promise.all([loadTurnContext(turn, "turn"), findMessage(turn.userId, turn.messageId)]);
  if (!row) throw new AppError("not_found", "There is no answer with this id.");
  const { turnId, chatId, model, createdAt } = context;
  const error = turn.error ? { error: turn.error } : {};
  const metadata = {
    turnId,
    chatId,
    model,
    createdAt,
    ...(row.metadata as object | null),
    status: turn.state,
    ...error,
  };
  const parts = (row.parts as ChatMessage["parts"]).map(withoutState);
  const message = { id: row.id, role: "assistant", parts, metadata: metadata as MessageMetadata } satisfies ChatMessage;
  return { context, message, metadata: message.metadata };
}

/** Same limits as `lib/services/chats/messages.ts` uses per page. */
const inputLimits = { maxMessages: 200, maxBytes: 8 * 1024 * 1024 };

/** The messages before the answer, oldest first; of a long conversation the newest. */
export async function listInput({ userId, chatId, userMessageId }: TurnRow): Promise<StoredMessage[]> {
  const rows = await listBranch(userId, chatId, { leafId: userMessageId, ...inputLimits });
  return rows.map((row) => ({ ...toStored(row), parts: (row.parts as ChatMessage["parts"]).map(withoutState) }));
}

/**
 * Stops a running turn. Deletes its chat if unlisted and without other content; otherwise the
 * answer stays for continuations but can no longer be retrieved.
 */
export async function deleteAnswer(userId: string, turnId: string | null): Promise<void> {
  const turn = await requireRetrievableTurn(userId, turnId);
  if (turn.state === "running") await turnLog().requestStop(turn.id);
  if (await deleteChat(userId, turn.chatId, turn.id)) return;
  const view = { ...viewOf(turn), kept: false };
  const hidden = await replaceRequest(turn, { ...storedRequestOf(turn), view });
  // It was pruned meanwhile, which happens once, or deleted.
  if (!hidden) await deleteAnswer(userId, turnId);
}

function viewOf(turn: TurnRow) {
  return storedRequestOf(turn).view ?? {};
}

function toReferenced(row: MessageRow): ReferencedMessage {
  return { ...toStored(row), parentId: row.parentId };
}
