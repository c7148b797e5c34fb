// Statements on chats. Every one names the owner.
import "server-only";
import { and, desc, eq, exists, ilike, inArray, or, sql } from "drizzle-orm";
import { type Database, database } from "./client";
import { chatsChannel } from "./log";
import { chats, messages, turnChunks, turns, users } from "./schema";

export type ChatRow = typeof chats.$inferSelect;
export type ListedChat = ChatRow & { liveTurnId: string | null };

// Names are written out: in a select from one table Drizzle leaves the table's name away, and here there are two.
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

export async function findChat(userId: string, id: string, db: Database = database()): Promise<ListedChat | null> {
  const [row] = await db
    .select(columns)
    .from(chats)
    .where(and(eq(chats.userId, userId), eq(chats.id, id)));
  return row ?? null;
}

export async function findChatByNumber(
  userId: string,
  number: number,
  db: Database = database(),
): Promise<ListedChat | null> {
  const [row] = await db
    .select(columns)
    .from(chats)
    .where(and(eq(chats.userId, userId), eq(chats.number, number)));
  return row ?? null;
}

/**
 * Makes the chat with this number, else with the user's next free one; null when there is one with this id or number.
 */
export async function insertChat(
  db: Database,
  { number: wanted, ...chat }: { userId: string; id: string; title: string; number?: number },
): Promise<ChatRow | null> {
  if (wanted === undefined) {
    const made = await insertWithNextNumber(db, chat);
    if (made) return made;
  }
  // The user's row is the lock that lets parallel sends give out each number once, and none in vain.
  const [user] = await db
    .select({ lastChatNumber: users.lastChatNumber })
    .from(users)
    .where(eq(users.id, chat.userId))
    .for("no key update");
  const number = wanted ?? (await nextNumber(db, chat.userId, user?.lastChatNumber ?? 0));
  const [row] = await db
    .insert(chats)
    .values({ ...chat, number })
    .onConflictDoNothing()
    .returning();
  if (!row) return null;
  if (wanted === undefined) await db.update(users).set({ lastChatNumber: number }).where(eq(users.id, chat.userId));
  return row;
}

/**
 * What nearly always suffices: the number behind the last one, which the update counts and locks. Null when that number or
 * the id is taken, and then nothing is changed.
 */
async function insertWithNextNumber(
  db: Database,
  chat: { userId: string; id: string; title: string },
): Promise<ChatRow | null> {
  const count = (step: number) =>
    db
      .update(users)
      .set({ lastChatNumber: sql`${users.lastChatNumber} + ${step}::int` })
      .where(eq(users.id, chat.userId))
      .returning({ number: users.lastChatNumber });
  const [user] = await count(1);
  const [row] = await db
    .insert(chats)
    .values({ ...chat, number: user?.number ?? 1 })
    .onConflictDoNothing()
    .returning();
  if (!row) await count(-1);
  return row ?? null;
}

/** The first number behind `last` that no client has taken for itself. Among one more than it took there is one. */
async function nextNumber(db: Database, userId: string, last: number): Promise<number> {
  const [free] = await db
    .select({ number: sql<number>`min(candidate)::int` })
    .from(
      sql`generate_series(
        ${last}::int + 1,
        ${last}::int + 1 + (select count(*)::int from chats where user_id = ${userId} and number > ${last}::int)
      ) as candidate`,
    )
    .where(sql`not exists (select 1 from chats where user_id = ${userId} and number = candidate)`);
  return free?.number ?? last + 1;
}

export async function touchChat(db: Database, userId: string, id: string): Promise<void> {
  await db
    .update(chats)
    .set({ updatedAt: sql`now()` })
    .where(and(eq(chats.userId, userId), eq(chats.id, id)));
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

/** With its messages, turns and their chunks. */
export async function deleteChat(userId: string, id: string): Promise<boolean> {
  return database().transaction(async (tx) => {
    const chat = and(eq(chats.userId, userId), eq(chats.id, id));
    // Locked, so that no turn begins in it between the statements; and its turns before their messages, in the order of
    // the log's commit, so that the two cannot wait for each other.
    await tx.select({ id: chats.id }).from(chats).where(chat).for("update");
    const own = await tx
      .select({ id: turns.id })
      .from(turns)
      .where(and(eq(turns.userId, userId), eq(turns.chatId, id)))
      .orderBy(turns.id)
      .for("update");
    // The chat goes first: once its turns are gone nobody can append to them, so no chunk is left behind.
    const notified = sql`pg_notify(${chatsChannel}, user_id || ' ' || id)`;
    const rows = await tx.delete(chats).where(chat).returning({ id: chats.id, notified });
    const turnIds = own.map((turn) => turn.id);
    if (turnIds.length > 0) await tx.delete(turnChunks).where(inArray(turnChunks.turnId, turnIds));
    return rows.length > 0;
  });
}

/** Where a page of the list ended. */
export type ChatCursor = { pinned: boolean; updatedAt: string; id: string };

/** Pinned first, then by last use, newest first. `query` looks into titles and messages. */
export async function listChats(
  userId: string,
  { query, after, limit }: { query?: string; after?: ChatCursor; limit: number },
): Promise<(ListedChat & { cursor: ChatCursor })[]> {
  const conditions = [eq(chats.userId, userId)];
  if (query) {
    const pattern = `%${query.replace(/[\\%_]/g, "\\$&")}%`;
    const inMessages = database()
      .select({ one: sql`1` })
      .from(messages)
      .where(
        and(
          eq(messages.userId, chats.userId),
          eq(messages.chatId, chats.id),
          or(
            sql`to_tsvector('english', ${messages.text}) @@ websearch_to_tsquery('english', ${query})`,
            ilike(messages.text, pattern),
          ),
        ),
      );
    conditions.push(or(ilike(chats.title, pattern), exists(inMessages)) as ReturnType<typeof eq>);
  }
  if (after)
    conditions.push(
      sql`(${chats.pinned}, ${chats.updatedAt}, ${chats.id}) < (${after.pinned}, ${after.updatedAt}::timestamptz, ${after.id})`,
    );
  const rows = await database()
    // The cursor keeps the microseconds that a Date would lose.
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
