// Statements on users and their tokens.
import "server-only";
import { and, desc, eq, isNull, sql } from "drizzle-orm";
import { database, pool } from "./client";
import { tokens, users } from "./schema";

export type UserRow = typeof users.$inferSelect;
export type TokenRow = typeof tokens.$inferSelect;

export async function insertUser(
  user: Pick<UserRow, "id" | "email" | "name" | "passwordHash">,
): Promise<UserRow | null> {
  const [row] = await database().insert(users).values(user).onConflictDoNothing().returning();
  return row ?? null;
}

/** Gives a guest an address and a password; its chats and documents stay. Null when it is no guest. */
export async function upgradeGuest(
  id: string,
  account: { email: string; name: string | null; passwordHash: string },
): Promise<UserRow | null> {
  const [row] = await database()
    .update(users)
    .set(account)
    .where(and(eq(users.id, id), isNull(users.email)))
    .returning();
  return row ?? null;
}

export type Caller = Pick<UserRow, "id" | "email" | "name" | "sessionVersion">;

/** Asked by every request that comes with a session. */
export async function findUser(id: string): Promise<Caller | null> {
  const [row] = await pool().sql<Caller[]>`
    select id, email, name, session_version as "sessionVersion" from users where id = ${id}`;
  return row ?? null;
}

export async function findUserByEmail(email: string): Promise<UserRow | null> {
  const [row] = await database().select().from(users).where(eq(users.email, email));
  return row ?? null;
}

export async function insertToken(
  token: Pick<TokenRow, "id" | "userId" | "name" | "hash" | "expiresAt">,
): Promise<TokenRow> {
  const [row] = await database().insert(tokens).values(token).returning();
  return row as TokenRow;
}

/** The user a token stands for; null when it is unknown or expired. Remembers the use, at most once a minute. */
export async function findUserByToken(hash: string): Promise<Caller | null> {
  const [row] = await pool().sql`
    select users.id, users.email, users.name, users.session_version, tokens.id as token_id,
      coalesce(tokens.last_used_at < now() - interval '1 minute', true) as stale
    from tokens join users on users.id = tokens.user_id
    where tokens.hash = ${hash} and (tokens.expires_at is null or tokens.expires_at > now())`;
  if (!row) return null;
  if (row.stale) await database().update(tokens).set({ lastUsedAt: sql`now()` }).where(eq(tokens.id, row.token_id));
  return { id: row.id, email: row.email, name: row.name, sessionVersion: row.session_version };
}

export async function listTokens(userId: string): Promise<TokenRow[]> {
  return database().select().from(tokens).where(eq(tokens.userId, userId)).orderBy(desc(tokens.createdAt));
}

export async function deleteToken(userId: string, id: string): Promise<boolean> {
  const rows = await database()
    .delete(tokens)
    .where(and(eq(tokens.userId, userId), eq(tokens.id, id)))
    .returning({ id: tokens.id });
  return rows.length > 0;
}
