// A user's rows for the export, paged by key, so that neither the database nor the process holds
// more than one page.
import "server-only";
import { and, asc, eq, gt } from "drizzle-orm";
import { database } from "./client";
import { chats, documents, messages, passages, tasks, tokens, users } from "./schema";

/** Messages are the largest rows: up to a few MB each. */
const rowsPerPage = 20;

/** Without the password hash. */
export async function findAccount(userId: string) {
  const { id, email, name, createdAt } = users;
  const [row] = await database().select({ id, email, name, createdAt }).from(users).where(eq(users.id, userId));
  return row ?? null;
}

/** Without their hashes. */
export const eachToken = (userId: string) =>
  paged((after: string | null) => {
    const { id, name, createdAt, lastUsedAt, expiresAt } = tokens;
    return database()
      .select({ id, name, createdAt, lastUsedAt, expiresAt })
      .from(tokens)
      .where(and(eq(tokens.userId, userId), after === null ? undefined : gt(id, after)))
      .orderBy(asc(id))
      .limit(rowsPerPage);
  }, "id");

export const eachTask = (userId: string) =>
  paged((after: number | null) => {
    const { number, title, description, createdAt, completedAt } = tasks;
    return database()
      .select({ number, title, description, createdAt, completedAt })
      .from(tasks)
      .where(and(eq(tasks.userId, userId), after === null ? undefined : gt(number, after)))
      .orderBy(asc(number))
      .limit(rowsPerPage);
  }, "number");

export const eachChat = (userId: string) =>
  paged((after: string | null) => {
    const { id, number, title, pinned, createdAt, updatedAt } = chats;
    return database()
      .select({ id, number, title, pinned, createdAt, updatedAt })
      .from(chats)
      .where(and(eq(chats.userId, userId), after === null ? undefined : gt(id, after)))
      .orderBy(asc(id))
      .limit(rowsPerPage);
  }, "id");

/** On all branches, in insertion order. */
export const eachMessage = (userId: string, chatId: string) =>
  paged((after: number | null) => {
    const { id, parentId, role, status, parts, metadata, createdAt, position } = messages;
    const own = and(eq(messages.userId, userId), eq(messages.chatId, chatId));
    return database()
      .select({ id, chatId: messages.chatId, parentId, role, status, parts, metadata, createdAt, position })
      .from(messages)
      .where(and(own, after === null ? undefined : gt(position, after)))
      .orderBy(asc(position))
      .limit(rowsPerPage);
  }, "position");

export const eachDocument = (userId: string) =>
  paged((after: string | null) => {
    const { id, title, filename, mediaType, bytes, passageCount, createdAt } = documents;
    return database()
      .select({ id, title, filename, mediaType, bytes, passageCount, createdAt })
      .from(documents)
      .where(and(eq(documents.userId, userId), after === null ? undefined : gt(id, after)))
      .orderBy(asc(id))
      .limit(rowsPerPage);
  }, "id");

export const eachPassage = (userId: string, documentId: string) =>
  paged((after: number | null) => {
    const { ordinal, heading, text } = passages;
    const own = and(eq(passages.userId, userId), eq(passages.documentId, documentId));
    return database()
      .select({ documentId: passages.documentId, ordinal, heading, text })
      .from(passages)
      .where(and(own, after === null ? undefined : gt(ordinal, after)))
      .orderBy(asc(ordinal))
      .limit(rowsPerPage);
  }, "ordinal");

/** The rows of all pages in order; reads the next page once the previous rows were consumed. */
async function* paged<Name extends string, Row extends Record<Name, unknown>>(
  readPage: (after: Row[Name] | null) => Promise<Row[]>,
  key: Name,
): AsyncGenerator<Row> {
  for (let after: Row[Name] | null = null; ; ) {
    const page: Row[] = await readPage(after);
    yield* page;
    const last = page.at(-1);
    if (!last || page.length < rowsPerPage) return;
    after = last[key];
  }
}
