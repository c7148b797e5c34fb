// Statements on sessions and on all credentials of a user.
import "server-only";
import { and, desc, eq, gt, isNull, sql as statement } from "drizzle-orm";
import { database, pool, type Statements } from "./client";
import { sessions } from "./schema";
import { type CallerRow, callerColumns, seenCaller } from "./users";

export type SessionKey = {
  /** The row; for a JWT older than session rows its `jti`: the next page visit creates the row. */
  id: string;
  userId: string;
  /** `users.session_version` when the JWT was issued. */
  version: number;
  /** The JWT names no row. Only such a JWT is valid without a row. */
  rowless: boolean;
};

export type SessionRow = typeof sessions.$inferSelect;

/** A session is a guest's only access to its chats, so it lasts a year from its last use. */
export const sessionDays = 365;
/** Live sessions per user; another sign-in ends the least recently used one. */
const maxSessions = 100;

/** Runs on every request with a session. Records the use, at most once in five minutes. */
export async function findSessionUser(key: SessionKey): Promise<CallerRow | null> {
  const { sql } = pool();
  const [row] = await sql`
    select ${callerColumns(sql)},
      coalesce(sessions.last_seen_at < now() - interval '5 minutes', false) as stale
    from users left join sessions on sessions.id = ${key.id} and sessions.user_id = users.id
    where users.id = ${key.userId} and ${isLive(sql, sql`${key.version}::int`, sql`${key.rowless}::boolean`)}`;
  if (!row) return null;
  if (row.stale)
    await sql`
      update sessions set last_seen_at = now(), expires_at = now() + make_interval(days => ${sessionDays})
      where id = ${key.id} and user_id = ${key.userId} and ended_at is null`;
  return seenCaller(row);
}

/** The ended sessions among these, in one statement. */
export async function listEndedSessions(keys: SessionKey[]): Promise<string[]> {
  const { sql } = pool();
  const rows = await sql<{ id: string }[]>`
    select asked.id from json_to_recordset(${JSON.stringify(keys)}::text::json)
      as asked (id uuid, "userId" uuid, version int, rowless boolean)
    where not exists (
      select from users left join sessions on sessions.id = asked.id and sessions.user_id = users.id
      where users.id = asked."userId" and ${isLive(sql, sql`asked.version`, sql`asked.rowless`)}
    )`;
  return rows.map(({ id }) => id);
}

type Fragment = ReturnType<Statements>;

/** Condition on a row of `users` joined with its row of `sessions`, if any. */
function isLive(sql: Statements, version: Fragment, rowless: Fragment) {
  return sql`users.session_version = ${version} and case
    when sessions.id is null then ${rowless} else sessions.ended_at is null and sessions.expires_at > now() end`;
}

/** Inserts the row unless the id exists. Null when there is no such user. */
export async function insertSession(
  sql: Statements,
  { id, userId, userAgent }: { id: string; userId: string; userAgent: string },
): Promise<{ version: number } | null> {
  const [row] = await sql<{ version: number }[]>`
    with pruned as (
      delete from sessions where user_id = ${userId} and (expires_at <= now() or id in (
        select id from sessions where user_id = ${userId}
        order by ended_at is null desc, last_seen_at desc offset ${maxSessions - 1}
      ))
    ), made as (
      insert into sessions (id, user_id, user_agent, expires_at)
      select ${id}, id, ${userAgent}, now() + make_interval(days => ${sessionDays}) from users where id = ${userId}
      on conflict (id) do nothing
    )
    select session_version as version from users where id = ${userId}`;
  return row ?? null;
}

const live = (userId: string) =>
  and(eq(sessions.userId, userId), isNull(sessions.endedAt), gt(sessions.expiresAt, statement`now()`));

/** Most recently used first. */
export async function listSessions(userId: string): Promise<SessionRow[]> {
  return database()
    .select()
    .from(sessions)
    .where(live(userId))
    .orderBy(desc(sessions.lastSeenAt), desc(sessions.id))
    .limit(maxSessions);
}

/** False when the user has no such live session. */
export async function endSession(userId: string, id: string): Promise<boolean> {
  const ended = await database()
    .update(sessions)
    .set({ endedAt: statement`now()` })
    .where(and(live(userId), eq(sessions.id, id)))
    .returning({ id: sessions.id });
  return ended.length > 0;
}

/** Ends all sessions of the user. Raising the version means that no row has to record it. */
export async function endAllSessions(sql: Statements, userId: string): Promise<void> {
  await sql`
    with ended as (delete from sessions where user_id = ${userId})
    update users set session_version = session_version + 1 where id = ${userId}`;
}

/**
 * Ends all sessions and revokes all tokens of the user. Run it in the transaction that changes the
 * user's rights.
 */
export async function endAllCredentials(sql: Statements, userId: string): Promise<void> {
  await endAllSessions(sql, userId);
  await sql`delete from tokens where user_id = ${userId}`;
}
