// Statements on messages. Every one names the owner.
import "server-only";
import { and, asc, eq, getTableColumns } from "drizzle-orm";
import { database } from "./client";
import { messages } from "./schema";

const { searchText: _text, searchWords: _words, searchGrams: _grams, ...columns } = getTableColumns(messages);

/** Without what only the search looks at. */
export type MessageRow = Omit<typeof messages.$inferSelect, "searchText" | "searchWords" | "searchGrams">;
export type NewMessage = Omit<MessageRow, "position" | "createdAt">;

/** All messages of the chat's tree, in the order in which they were made. */
export async function listMessages(userId: string, chatId: string): Promise<MessageRow[]> {
  return database()
    .select(columns)
    .from(messages)
    .where(and(eq(messages.userId, userId), eq(messages.chatId, chatId)))
    .orderBy(asc(messages.position));
}

export async function findMessage(userId: string, id: string): Promise<MessageRow | null> {
  const [row] = await database()
    .select(columns)
    .from(messages)
    .where(and(eq(messages.userId, userId), eq(messages.id, id)));
  return row ?? null;
}
