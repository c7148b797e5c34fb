// Statements on turns besides the log's own: beginning one, finding one, asking one to stop.
import "server-only";
import { and, desc, eq, sql } from "drizzle-orm";
import { type Database, database, pool } from "./client";
import { turns } from "./schema";

export type TurnRow = typeof turns.$inferSelect;

export type NewTurn = Pick<
  TurnRow,
  "id" | "userId" | "chatId" | "userMessageId" | "messageId" | "clientKey" | "request"
>;

/** Violates `turns_one_per_key` or `turns_one_running_per_chat` when there is such a turn already. */
export async function insertTurn(db: Database, turn: NewTurn, leaseMs: number): Promise<TurnRow> {
  const leaseUntil = sql`now() + ${leaseMs}::int * interval '1 millisecond'`;
  const [row] = await db
    .insert(turns)
    .values({ ...turn, leaseUntil })
    .returning();
  return row as TurnRow;
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
