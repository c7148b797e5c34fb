// Operations on chats: list, find, create, change, delete. Each takes the owner; unknown and
// foreign chats look the same.
import { v7 as uuidv7 } from "uuid";
import { z } from "zod";
import { searchChats } from "@/db/chat-search";
import * as rows from "@/db/chats";
import { pool } from "@/db/client";
import { env } from "@/lib/env";
import { AppError } from "@/lib/errors";
import { cutPage, exactTime, pageQuery, pageSize, parseCursor } from "@/lib/list-cursor";
import { turnLog } from "@/lib/log/turn-log";
import { visibleLine } from "@/lib/turn/foreign-text";
import { type ChatReference, clientId, maxIdLength } from "@/lib/turn/turn-options";

export type Chat = {
  id: string;
  /** The user's own small number for the chat. */
  number: number;
  title: string;
  pinned: boolean;
  createdAt: string;
  updatedAt: string;
  /** The running turn, if any. */
  liveTurnId: string | null;
};

const maxTitleLength = 200;
export const chatTitle = z.string().trim().min(1).max(maxTitleLength);

export const chatListQuery = pageQuery.extend({
  q: z.string().trim().max(200).optional().describe("Only chats whose title or messages hold these words."),
});
export const newChat = z
  .object({
    id: clientId.optional().describe("Default: one that the server makes."),
    title: chatTitle.optional(),
  })
  .meta({ id: "NewChat" });
export const chatChange = z
  .object({ title: chatTitle.optional(), pinned: z.boolean().optional() })
  .meta({ id: "ChatChange" });

const cursorShape = z.object({ pinned: z.boolean(), updatedAt: exactTime, id: z.string().max(2 * maxIdLength) });

export async function listChats(
  userId: string,
  { q, cursor, limit = pageSize }: { q?: string; cursor?: string; limit?: number } = {},
): Promise<{ chats: Chat[]; nextCursor: string | null }> {
  const after = parseCursor(cursorShape, cursor);
  const input = { ...(after ? { after } : {}), limit: limit + 1 };
  const found = q ? await searchChats(userId, { query: q, ...input }) : await rows.listChats(userId, input);
  const { page, nextCursor } = cutPage(found, limit);
  return { chats: page.map(toChat), nextCursor };
}

export async function findChat(userId: string, id: string): Promise<Chat | null> {
  const row = await rows.findChat(userId, id);
  return row && toChat(row);
}

export async function requireChat(userId: string, id: string): Promise<Chat> {
  const chat = await findChat(userId, id);
  if (!chat) throw notFound();
  return chat;
}

/**
 * The id of the referenced chat. A chat with that id need not exist; an unused number throws
 * not_found.
 */
export async function requireChatId(userId: string, reference: ChatReference): Promise<string> {
  const id = await findChatId(userId, reference);
  if (id === null) throw notFound();
  return id;
}

/** As `requireChatId`, but null for an unused number. */
export async function findChatId(userId: string, reference: ChatReference): Promise<string | null> {
  if ("id" in reference) return reference.id;
  return (await rows.findChatByNumber(userId, reference.number))?.id ?? null;
}

/**
 * Creates an empty chat. Throws conflict if the user already has one with this id, storage_full
 * through `require_room`.
 */
export async function createChat(
  userId: string,
  { id = uuidv7(), title = "New chat" }: { id?: string; title?: string },
): Promise<Chat> {
  const made = await pool().sql.begin((sql) => rows.insertChat(sql, { userId, id, title }, env().MAX_CHATS));
  if (!made) throw new AppError("conflict", "id: you have a chat with this id already.");
  return requireChat(userId, id);
}

export async function changeChat(
  userId: string,
  id: string,
  change: { title?: string; pinned?: boolean },
): Promise<Chat> {
  if (Object.keys(change).length > 0 && !(await rows.updateChat(userId, id, change))) throw notFound();
  return requireChat(userId, id);
}

/** Deletes the chat and its contents; a running turn is stopped. */
export async function deleteChat(userId: string, id: string): Promise<void> {
  const { liveTurnId } = await requireChat(userId, id);
  if (liveTurnId) await turnLog().requestStop(liveTurnId);
  if (!(await rows.deleteChat(userId, id))) throw notFound();
}

function toChat(row: rows.ListedChat): Chat {
  const { id, number, title, pinned, liveTurnId } = row;
  return {
    id,
    number,
    title: visibleLine(title) || "Untitled",
    pinned,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
    liveTurnId,
  };
}

function notFound(): AppError {
  return new AppError("not_found", "There is no such chat.");
}
