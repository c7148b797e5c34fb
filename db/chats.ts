// Statements on chats. Each one filters by owner.
import "server-only";
import { and, desc, eq, inArray, sql } from "drizzle-orm";
import type { TransactionSql } from "postgres";
import { database } from "./client";
import { chatsChannel } from "./log";
import { chats, turnChunks, turns } from "./schema";

export type ChatRow = Omit<typeof chats.$inferSelect, "listed">;
export type ListedChat = ChatRow & { liveTurnId: string | null };

// Written out: in a single-table select Drizzle omits table names, and this has two tables.
const liveTurnId = sql<string | null>`(
  select turns.id from turns
  where turns.user_id = chats.user_id and turns.chat_id = chats.id and turns.state = 'running'
)`;
const columns = {
  userId: chats.userId,
  id: chats.id,
  number: chats.number,
  title: chats.title,
  pinned: chats.pinned,
  createdAt: chats.createdAt,
  updatedAt: chats.updatedAt,
  liveTurnId,
};

export async function findChat(userId: string, id: string): Promise<ListedChat | null> {
  const [row] = await database()
    .select(columns)
    .from(chats)
    .where(and(eq(chats.userId, userId), eq(chats.id, id)));
  return row ?? null;
}

export async function findChatByNumber(userId: string, number: number): Promise<ListedChat | null> {
  const [row] = await database()
    .select(columns)
    .from(chats)
    .where(and(eq(chats.userId, userId), eq(chats.number, number)));
  return row ?? null;
}

/**
 * Creates the chat with this number, or else with the user's next free one; false when the id or
 * number is taken. Raises RV001 when the user then has more than `maxChats`. A send into a new chat
 * needs this only when a client has chosen numbers itself (insertTurn).
 */
export async function insertChat(
  sql: TransactionSql,
  {
    userId,
    id,
    title,
    number = null,
    listed = true,
  }: { userId: string; id: string; title: string; number?: number | null; listed?: boolean },
  maxChats: number | null = null,
): Promise<boolean> {
  // Locks the user's row, so that parallel sends each get a distinct number, without gaps.
  await sql`select from users where id = ${userId} for no key update`;
  // The first number after the last that no client has chosen: among one more than clients have
  // chosen there is one.
  const made = await sql`
    with last as (
      select id as user_id, last_chat_number as number from users where id = ${userId}
    ), made as (
      insert into chats (user_id, id, number, title, listed)
      select user_id, ${id}::text, coalesce(${number}::int, (
        select min(candidate) from generate_series(
          last.number + 1,
          last.number + 1 + (select count(*)::int from chats where chats.user_id = last.user_id and chats.number > last.number)
        ) as candidate
        where not exists (select from chats where chats.user_id = last.user_id and chats.number = candidate)
      )), ${title}::text, ${listed}::boolean
      from last
      on conflict do nothing
      returning user_id, number
    ), counted as (
      update users set last_chat_number = made.number from made where users.id = made.user_id and ${number}::int is null
    )
    select require_room(user_id, ${maxChats}::int, null, null, null, 0) from made`;
  return made.length > 0;
}

export async function updateChat(
  userId: string,
  id: string,
  change: { title?: string; pinned?: boolean },
): Promise<boolean> {
  const rows = await database()
    .update(chats)
    .set(change)
    .where(and(eq(chats.userId, userId), eq(chats.id, id)))
    .returning({ id: chats.id });
  return rows.length > 0;
}

export async function listChatIds(userId: string, limit: number): Promise<string[]> {
  const rows = await database().select({ id: chats.id }).from(chats).where(eq(chats.userId, userId)).limit(limit);
  return rows.map(({ id }) => id);
}

/** Chats of stateless calls unused for a day, oldest first. */
export async function listExpiredStatelessChats(limit: number): Promise<{ userId: string; id: string }[]> {
  // Not a parameter: the partial index on unlisted chats would not serve it.
  const forgotten = and(sql`not ${chats.listed}`, sql`${chats.updatedAt} < now() - interval '1 day'`);
  return database()
    .select({ userId: chats.userId, id: chats.id })
    .from(chats)
    .where(forgotten)
    .orderBy(chats.updatedAt)
    .limit(limit);
}

/**
 * Deletes the chat with its messages, turns and chunks. With `onlyTurnId`, only an unlisted chat
 * with just this turn. False when there is no such chat.
 */
export async function deleteChat(userId: string, id: string, onlyTurnId?: string): Promise<boolean> {
  return database().transaction(async (tx) => {
    const chat = and(eq(chats.userId, userId), eq(chats.id, id));
    // Locked, so that no turn begins between the statements. Its turns come before their messages,
    // in the order of the log's commit, to avoid a deadlock with it.
    const [locked] = await tx.select({ listed: chats.listed }).from(chats).where(chat).for("update");
    const ownTurn = await tx
      .select({ id: turns.id })
      .from(turns)
      .where(and(eq(turns.userId, userId), eq(turns.chatId, id)))
      .orderBy(turns.id)
      .for("update");
    if (onlyTurnId && (locked?.listed || ownTurn.some((turn) => turn.id !== onlyTurnId))) return false;
    // The chat goes first: without its turns nobody can append to them, so no chunk is left behind.
    const notified = sql`pg_notify(${chatsChannel}, user_id || ' ' || id)`;
    const rows = await tx.delete(chats).where(chat).returning({ id: chats.id, notified });
    const turnIds = ownTurn.map((turn) => turn.id);
    if (turnIds.length > 0) await tx.delete(turnChunks).where(inArray(turnChunks.turnId, turnIds));
    return rows.length > 0;
  });
}

/** Where a page of the list ended. */
export type ChatCursor = { pinned: boolean; updatedAt: string; id: string };

/** Listed chats: pinned first, then most recently used. */
export async function listChats(
  userId: string,
  { after, limit }: { after?: ChatCursor; limit: number },
): Promise<(ListedChat & { cursor: ChatCursor })[]> {
  const conditions = [eq(chats.userId, userId), eq(chats.listed, true)];
  if (after)
    conditions.push(
      sql`(${chats.pinned}, ${chats.updatedAt}, ${chats.id}) < (${after.pinned}, ${after.updatedAt}::timestamptz, ${after.id})`,
    );
  const rows = await database()
    // The cursor keeps the microseconds that a Date would drop.
    .select({ ...columns, exactUpdatedAt: sql<string>`${chats.updatedAt}::text` })
    .from(chats)
    .where(and(...conditions))
    .orderBy(desc(chats.pinned), desc(chats.updatedAt), desc(chats.id))
    .limit(limit);
  return rows.map(({ exactUpdatedAt, ...chat }) => ({
    ...chat,
    cursor: { pinned: chat.pinned, updatedAt: exactUpdatedAt, id: chat.id },
  }));
}
