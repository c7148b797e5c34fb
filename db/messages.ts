// Statements on messages, each filtered by owner. None reads a whole chat: branches are walked
// upward, with a limit.
import "server-only";
import { and, eq, getTableColumns, inArray } from "drizzle-orm";
import { database, pool } from "./client";
import { messages } from "./schema";

const { searchText: _text, searchWords: _words, searchGrams: _grams, ...columns } = getTableColumns(messages);

/** Without the search columns. */
export type MessageRow = Omit<typeof messages.$inferSelect, "searchText" | "searchWords" | "searchGrams">;
export type NewMessage = Omit<MessageRow, "position" | "createdAt">;

export type BranchEnd = {
  /** The message to start from. Default: the chat's newest. */
  leafId?: string;
  maxMessages: number;
  /** Of the parts, as JSON. The last message is always returned, however large. */
  maxBytes: number;
};

/**
 * The end of a branch, oldest first: from the leaf upward along `parent_id` until a limit is
 * reached. A chat is a tree, since a regenerated answer is a sibling of the first; the branch in
 * view is the path to the newest message. Empty when there is no such leaf.
 */
export async function listBranch(
  userId: string,
  chatId: string,
  { leafId, maxMessages, maxBytes }: BranchEnd,
): Promise<MessageRow[]> {
  const { sql } = pool();
  const leaf = leafId === undefined ? sql`order by position desc limit 1` : sql`and id = ${leafId}`;
  const rows = await sql`
    with recursive branch as (
      (select id, parent_id, 1 as depth, 0::bigint as bytes
      from messages where user_id = ${userId}::uuid and chat_id = ${chatId} ${leaf})
      union all
      select parent.id, parent.parent_id, depth + 1, bytes + octet_length(parent.parts::text)
      from branch join messages as parent
        on parent.user_id = ${userId}::uuid and parent.id = branch.parent_id and parent.chat_id = ${chatId}
      where depth < ${maxMessages}::int and bytes < ${maxBytes}::bigint
    )
    select user_id as "userId", id, chat_id as "chatId", messages.parent_id as "parentId", turn_id as "turnId", role, status, parts, metadata,
      text, position::float8 as position, created_at::text as "createdAt"
    from branch join messages using (id) where user_id = ${userId}::uuid and bytes <= ${maxBytes}::bigint
    order by depth desc`;
  return rows.map((row) => ({ ...row, createdAt: new Date(row.createdAt) }) as MessageRow);
}

export async function findMessage(userId: string, id: string): Promise<MessageRow | null> {
  const [row] = await database()
    .select(columns)
    .from(messages)
    .where(and(eq(messages.userId, userId), eq(messages.id, id)));
  return row ?? null;
}

/** The user's messages among these ids, unordered. */
export async function findMessages(userId: string, ids: string[]): Promise<MessageRow[]> {
  return database()
    .select(columns)
    .from(messages)
    .where(and(eq(messages.userId, userId), inArray(messages.id, ids)));
}
