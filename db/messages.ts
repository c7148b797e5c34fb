// Statements on messages. Every one names the owner.
import "server-only";
import { and, asc, eq } from "drizzle-orm";
import { type Database, database } from "./client";
import { messages } from "./schema";

export type MessageRow = typeof messages.$inferSelect;
export type NewMessage = Omit<MessageRow, "position" | "createdAt">;

/** False when the user has a message with this id already. */
export async function insertMessage(db: Database, message: NewMessage): Promise<boolean> {
  const rows = await db.insert(messages).values(message).onConflictDoNothing().returning({ id: messages.id });
  return rows.length > 0;
}

/** All messages of the chat's tree, in the order in which they were made. */
export async function listMessages(userId: string, chatId: string, db: Database = database()): Promise<MessageRow[]> {
  return db
    .select()
    .from(messages)
    .where(and(eq(messages.userId, userId), eq(messages.chatId, chatId)))
    .orderBy(asc(messages.position));
}

export async function findMessage(userId: string, id: string, db: Database = database()): Promise<MessageRow | null> {
  const [row] = await db
    .select()
    .from(messages)
    .where(and(eq(messages.userId, userId), eq(messages.id, id)));
  return row ?? null;
}
