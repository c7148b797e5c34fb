// Statements on users and their tokens.
import "server-only";
import { and, desc, eq, getTableColumns, gt, isNull, or, sql } from "drizzle-orm";
import type { Row } from "postgres";
import { requireCapacity } from "./ceilings";
import { type Database, database, pool, type Statements, sweep } from "./client";
import { tokens, users } from "./schema";

export type UserRow = typeof users.$inferSelect;
export type TokenRow = typeof tokens.$inferSelect;
/** What every request learns about its caller. */
export type CallerRow = Pick<UserRow, "id" | "email" | "name" | "role">;

export async function insertUser(
  user: Pick<UserRow, "id" | "email" | "name" | "passwordHash">,
): Promise<UserRow | null> {
  const [row] = await database().insert(users).values(user).onConflictDoNothing().returning();
  return row ?? null;
}

/** Precision of a guest's last visit; one update an hour costs nothing. */
const seenInterval = "1 hour";

/** Columns of `users` that `seenCaller` takes. */
export const callerColumns = (sql: Statements) => sql`
  users.id, users.email, users.name, users.role, users.session_version,
  users.email is null and users.last_seen_at < now() - ${seenInterval}::interval as unseen`;

/**
 * Marks the caller as seen. Null when the guest's credentials were revoked meanwhile: a guest being
 * deleted must not return to half of its data.
 */
export async function seenCaller({ id, email, name, role, session_version, unseen }: Row): Promise<CallerRow | null> {
  if (unseen) {
    const result = await pool().sql`
      update users set last_seen_at = now() where id = ${id} and session_version = ${session_version}`;
    if (result.count === 0) return null;
  }
  return { id, email, name, role };
}

/** Guests with an open stream are not idle. */
export async function markSeen(userIds: string[]): Promise<void> {
  await pool().sql`
    update users set last_seen_at = now()
    where id = any(${userIds}::uuid[]) and email is null and last_seen_at < now() - ${seenInterval}::interval`;
}

/**
 * Revokes all credentials of up to `limit` guests unseen for `days` and without a running turn,
 * longest idle first. From here on nobody can reach their data. Guests claimed earlier that still
 * exist are returned again.
 */
export async function claimIdleGuests(days: number, limit: number): Promise<string[]> {
  const rows = await sweep(
    (sql) => sql`
    with idle as (
      update users set session_version = session_version + 1 where id = any(array(
        select id from users
        where email is null and last_seen_at < now() - ${days}::int * interval '1 day'
          and not exists (select from turns where turns.user_id = users.id and turns.state = 'running')
        order by last_seen_at limit ${limit} for update skip locked
      ))
      returning id
    ), ended as (
      delete from tokens where user_id = any(array(select id from idle))
    ), signed_out as (
      delete from sessions where user_id = any(array(select id from idle))
    )
    select id from idle`,
  );
  return rows.map(({ id }) => id);
}

/** With everything left of it. False when it is not a guest. */
export async function deleteGuest(id: string): Promise<boolean> {
  const result = await sweep((sql) => sql`delete from users where id = ${id} and email is null`);
  return result.count > 0;
}

export async function findUserByEmail(email: string): Promise<UserRow | null> {
  const [row] = await database().select().from(users).where(eq(users.email, email));
  return row ?? null;
}

/**
 * A token created with another is its child: it is revoked with it and expires no later. Null when
 * the parent was revoked meanwhile. Raises RV001 when the user then has more than `maxTokens`.
 */
export async function insertToken(
  token: Pick<TokenRow, "id" | "userId" | "name" | "hash" | "expiresAt">,
  { parentId = null, maxTokens }: { parentId?: string | null; maxTokens?: number } = {},
): Promise<TokenRow | null> {
  return database().transaction(async (tx) => {
    // The user's row first, like the code that revokes all credentials, to avoid a deadlock.
    await tx.select({ id: users.id }).from(users).where(eq(users.id, token.userId)).for("no key update");
    const parent = parentId && (await findParent(tx, token.userId, parentId));
    if (parentId && !parent) return null;
    const ends = [token.expiresAt, parent ? parent.expiresAt : null].filter((end) => end !== null);
    const expiresAt = ends.length > 0 ? new Date(Math.min(...ends.map(Number))) : null;
    const [row] = await tx
      .insert(tokens)
      .values({ ...token, parentId, expiresAt })
      .returning();
    await tx.execute(requireCapacity(token.userId, { tokens: maxTokens }));
    return row ?? null;
  });
}

async function findParent(tx: Database, userId: string, id: string) {
  const live = or(isNull(tokens.expiresAt), gt(tokens.expiresAt, sql`now()`));
  const [parent] = await tx
    .select({ expiresAt: tokens.expiresAt })
    .from(tokens)
    .where(and(eq(tokens.id, id), eq(tokens.userId, userId), live))
    .for("key share");
  return parent;
}

/** The token's user; null when unknown or expired. Records the use, at most once a minute. */
export async function findUserByToken(hash: string): Promise<(CallerRow & { tokenId: string }) | null> {
  const { sql: client } = pool();
  const [row] = await client`
    select ${callerColumns(client)}, tokens.id as token_id,
      coalesce(tokens.last_used_at < now() - interval '1 minute', true) as stale
    from tokens join users on users.id = tokens.user_id
    where tokens.hash = ${hash} and (tokens.expires_at is null or tokens.expires_at > now())`;
  if (!row) return null;
  if (row.stale) await database().update(tokens).set({ lastUsedAt: sql`now()` }).where(eq(tokens.id, row.token_id));
  const caller = await seenCaller(row);
  return caller && { ...caller, tokenId: row.token_id };
}

/** The ended tokens among these: revoked, expired, or without a user. One statement. */
export async function listEndedTokens(ids: string[]): Promise<string[]> {
  const rows = await pool().sql<{ id: string }[]>`
    select asked.id from unnest(${ids}::uuid[]) as asked (id)
    where not exists (
      select from tokens where tokens.id = asked.id and (expires_at is null or expires_at > now())
    )`;
  return rows.map(({ id }) => id);
}

type CreatedCursor = { createdAt: string; id: string };

/** Newest first. */
export async function listTokens(
  userId: string,
  { after, limit }: { after?: CreatedCursor; limit: number },
): Promise<(TokenRow & { cursor: CreatedCursor })[]> {
  const { createdAt, id } = tokens;
  const rows = await database()
    // The cursor keeps the microseconds that a Date would drop.
    .select({ ...getTableColumns(tokens), exactCreatedAt: sql<string>`${createdAt}::text` })
    .from(tokens)
    .where(
      and(
        eq(tokens.userId, userId),
        after && sql`(${createdAt}, ${id}) < (${after.createdAt}::timestamptz, ${after.id}::uuid)`,
      ),
    )
    .orderBy(desc(createdAt), desc(id))
    .limit(limit);
  return rows.map(({ exactCreatedAt, ...row }) => ({ ...row, cursor: { createdAt: exactCreatedAt, id: row.id } }));
}

export async function deleteToken(userId: string, id: string): Promise<boolean> {
  const rows = await database()
    .delete(tokens)
    .where(and(eq(tokens.userId, userId), eq(tokens.id, id)))
    .returning({ id: tokens.id });
  return rows.length > 0;
}
