// The verbs on messages: the branch of a chat that is in view, an answer under way with what is stored of it so far.
import { pool } from "@/db/client";
import { readAllChunks } from "@/db/log";
import { listMessages as listRows, type MessageRow } from "@/db/messages";
import type { ChatMessage, TurnChunk } from "@/lib/turn/chunks";
import { foldChunks } from "@/lib/turn/fold";
import type { StoredMessage } from "@/lib/turn/turn-context";
import { branchOf } from "./branch";
import { requireChat } from "./chats";

/** Oldest first. Throws not_found when the user has no such chat. */
export async function listMessages(userId: string, chatId: string): Promise<ChatMessage[]> {
  await requireChat(userId, chatId);
  const branch = branchOf(await listRows(userId, chatId));
  return Promise.all(branch.map(toMessage));
}

/** The same with what the tables know of each message besides. */
export async function listStoredMessages(userId: string, chatId: string): Promise<StoredMessage[]> {
  await requireChat(userId, chatId);
  return Promise.all(
    branchOf(await listRows(userId, chatId)).map(async (row) => ({
      ...toStored(row),
      parts: (await toMessage(row)).parts,
    })),
  );
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
    return { ...message, id: row.id };
  }
  return { id: row.id, role: row.role, parts: row.parts, metadata: row.metadata ?? undefined } as ChatMessage;
}
