// Statements on turns besides the log's own: beginning one, finding one, asking one to stop.
import "server-only";
import { and, desc, eq, getTableColumns, sql } from "drizzle-orm";
import { type Database, database, pool } from "./client";
import { chatsChannel } from "./log";
import { turnChunks, turns } from "./schema";

export type TurnRow = typeof turns.$inferSelect;

export type NewTurn = Pick<
  TurnRow,
  "id" | "userId" | "chatId" | "userMessageId" | "messageId" | "clientKey" | "request"
> &
  Partial<Pick<TurnRow, "lastSeq">>;

/** Tells those who watch the chat, with the commit. Violates `turns_one_per_key` or `turns_one_running_per_chat` when there is such a turn already. */
export async function insertTurn(db: Database, turn: NewTurn, leaseMs: number): Promise<TurnRow> {
  const leaseUntil = sql`now() + ${leaseMs}::int * interval '1 millisecond'`;
  const [row] = await db
    .insert(turns)
    .values({ ...turn, leaseUntil })
    .returning({ ...getTableColumns(turns), notified: sql`pg_notify(${chatsChannel}, user_id || ' ' || chat_id)` });
  const { notified: _, ...inserted } = row as TurnRow & { notified: unknown };
  return inserted;
}

/** The beginning of a log, stored together with its turn, whose `lastSeq` counts these. */
export async function insertChunks(
  db: Database,
  turnId: string,
  chunks: { seq: number; chunk: unknown }[],
): Promise<void> {
  await db.insert(turnChunks).values(chunks.map(({ seq, chunk }) => ({ turnId, seq, chunk })));
}

export async function findTurn(userId: string, id: string): Promise<TurnRow | null> {
  const [row] = await database()
    .select()
    .from(turns)
    .where(and(eq(turns.userId, userId), eq(turns.id, id)));
  return row ?? null;
}

export async function findTurnByKey(userId: string, clientKey: string): Promise<TurnRow | null> {
  const [row] = await database()
    .select()
    .from(turns)
    .where(and(eq(turns.userId, userId), eq(turns.clientKey, clientKey)));
  return row ?? null;
}

export async function findRunningTurn(userId: string, chatId: string): Promise<TurnRow | null> {
  const [row] = await database()
    .select()
    .from(turns)
    .where(and(eq(turns.userId, userId), eq(turns.chatId, chatId), eq(turns.state, "running")));
  return row ?? null;
}

/** The turn of a chat that began last, running or not. */
export async function findLatestTurn(userId: string, chatId: string): Promise<TurnRow | null> {
  const [row] = await database()
    .select()
    .from(turns)
    .where(and(eq(turns.userId, userId), eq(turns.chatId, chatId)))
    .orderBy(desc(turns.createdAt), desc(turns.id))
    .limit(1);
  return row ?? null;
}

/** Compare-and-set: true when the turn was running and is now asked to stop. Its owner is told by NOTIFY. */
export async function requestStop(turnId: string, channel: string): Promise<boolean> {
  const rows = await pool().sql`
    with asked as (
      update turns set stop_requested_at = coalesce(stop_requested_at, now())
      where id = ${turnId} and state = 'running' returning id
    )
    select pg_notify(${channel}, id::text) from asked`;
  return rows.length > 0;
}

/** An answer older than this has been dealt with by the person, and would come as a surprise. */
const continueWithinMs = 600_000;
/** One that cost more owners than this may be what killed them. */
const mostEpochs = 3;

/**
 * Turns that were interrupted lately, behind which nothing was asked in their chat, and which continue no other. Of all users:
 * for the server's own work.
 */
export async function listContinuable(
  limit: number,
): Promise<Pick<TurnRow, "id" | "userId" | "chatId" | "messageId">[]> {
  const rows = await pool().sql`
    select id, user_id, chat_id, message_id from turns
    where state = 'interrupted' and pruned_at is null and ended_at > now() - ${continueWithinMs}::int * interval '1 millisecond'
      and epoch <= ${mostEpochs}::int and request->>'continues' is null
      and not exists (
        select from turns as later
        where later.user_id = turns.user_id and later.chat_id = turns.chat_id and later.created_at > turns.created_at
      )
    order by ended_at limit ${limit}`;
  return rows.map((row) => ({ id: row.id, userId: row.user_id, chatId: row.chat_id, messageId: row.message_id }));
}
