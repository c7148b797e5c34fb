// Operations on messages: the chat's branch in view, paged from its end; a running answer comes
// with what is stored so far.
import { isToolUIPart } from "ai";
import { z } from "zod";
import { pool } from "@/db/client";
import { readAllChunks } from "@/db/log";
import { listBranch, type MessageRow } from "@/db/messages";
import { listWithClientTools } from "@/db/turns";
import { AppError } from "@/lib/errors";
import type { ChatMessage, TurnChunk } from "@/lib/turn/chunks";
import { foldChunks } from "@/lib/turn/fold";
import { markPartProviderExecuted } from "@/lib/turn/provider-executed";
import { withoutState } from "@/lib/turn/provider-state";
import type { StoredMessage } from "@/lib/turn/turn-context";
import { maxIdLength } from "@/lib/turn/turn-options";
import { requireChat } from "./chats";

const pageSize = 50;
/** Dialect lists are not paged: this many of the newest messages. */
const maxListed = 200;
/** JSON bytes per page or list: a few of the largest possible messages. */
const maxPageBytes = 8 * 1024 * 1024;

export const messageListQuery = z.object({
  cursor: z
    .string()
    .max(2 * maxIdLength)
    .optional()
    .describe("`nextCursor` of the previous page, or any message id: the page ends with that message."),
  limit: z.coerce.number().int().min(1).max(100).optional().describe("Maximum number of messages. Default: 50."),
});

export type MessagePage = { messages: ChatMessage[]; nextCursor: string | null };

/**
 * The newest messages of the branch in view, or those up to the cursor; each page oldest first.
 * Throws not_found if the user has no such chat, bad_request if the cursor is not a message of it.
 */
export async function listMessages(
  userId: string,
  chatId: string,
  { cursor, limit = pageSize }: z.output<typeof messageListQuery> = {},
): Promise<MessagePage> {
  await requireChat(userId, chatId);
  const rows = await listBranch(userId, chatId, { leafId: cursor, maxMessages: limit, maxBytes: maxPageBytes });
  if (cursor !== undefined && rows.length === 0)
    throw new AppError("bad_request", "cursor: is not one that this list gave out");
  const messages = await Promise.all(rows.map(toMessage));
  const withCalls = rows.flatMap(({ turnId }, index) =>
    turnId && messages[index]?.parts.some(isToolUIPart) ? turnId : [],
  );
  const ofClients = new Set(withCalls.length > 0 ? await listWithClientTools(userId, withCalls) : []);
  return {
    messages: messages.map((message, index) => {
      const turnId = rows[index]?.turnId;
      return !turnId || ofClients.has(turnId)
        ? message
        : { ...message, parts: message.parts.map(markPartProviderExecuted) };
    }),
    nextCursor: rows[0]?.parentId ?? null,
  };
}

/** The newest messages of the branch in view, oldest first, with their other stored fields. */
export async function listStoredMessages(userId: string, chatId: string): Promise<StoredMessage[]> {
  await requireChat(userId, chatId);
  const rows = await listBranch(userId, chatId, { maxMessages: maxListed, maxBytes: maxPageBytes });
  return Promise.all(rows.map(async (row) => ({ ...toStored(row), parts: (await toMessage(row)).parts })));
}

export function toStored(row: MessageRow): StoredMessage {
  return {
    id: row.id,
    role: row.role,
    parts: row.parts as ChatMessage["parts"],
    status: row.status === "running" ? "streaming" : row.status,
    createdAt: row.createdAt.toISOString(),
    metadata: row.metadata,
  };
}

async function toMessage(row: MessageRow): Promise<ChatMessage> {
  if (row.status === "running" && row.turnId) {
    const chunks = await readAllChunks(pool().sql, [row.turnId]);
    const message = await foldChunks(chunks.map(({ json }) => JSON.parse(json) as TurnChunk));
    return { ...message, id: row.id, parts: message.parts.map(withoutState) };
  }
  // Answers sent as client history never ran here, so their metadata has no status.
  const metadata = row.role === "assistant" ? { status: row.status, ...(row.metadata as object | null) } : row.metadata;
  const parts = (row.parts as ChatMessage["parts"]).map(withoutState);
  return { id: row.id, role: row.role, parts, metadata: metadata ?? undefined } as ChatMessage;
}
