// What changes or ends an account as a whole. Whoever gains or loses rights loses all credentials in the same transaction:
// one that was known before is good for nothing after it.
import "server-only";
import { pool } from "./client";
import { endAllCredentials } from "./sessions";

export async function replacePassword(id: string, passwordHash: string): Promise<void> {
  await pool().sql.begin(async (sql) => {
    await sql`update users set password_hash = ${passwordHash} where id = ${id}`;
    await endAllCredentials(sql, id);
  });
}

/**
 * Ends all credentials, and makes of the account a guest that nobody can reach and that was away for long: what the server does not
 * delete now, the sweep of idle guests does (lib/chats/sweep.ts). Returns the turns that run.
 */
export async function abandonAccount(id: string): Promise<string[]> {
  return pool().sql.begin(async (sql) => {
    await sql`
      update users set email = null, name = null, password_hash = null, last_seen_at = 'epoch' where id = ${id}`;
    await endAllCredentials(sql, id);
    const running = await sql<{ id: string }[]>`select id from turns where user_id = ${id} and state = 'running'`;
    return running.map((turn) => turn.id);
  });
}

/** How many tokens the server used on a day stays known; who used them does not. */
export async function forgetUsage(userId: string): Promise<void> {
  await pool().sql`update token_usage set user_id = gen_random_uuid() where user_id = ${userId}`;
}
