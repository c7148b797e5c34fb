// Changes or ends an account as a whole. A change of rights revokes all credentials in the same
// transaction, so no older credential keeps working.
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
 * Revokes all credentials and turns the account into an unreachable, long-idle guest: what the
 * server does not delete now, the sweep of idle guests does (lib/services/sweep.ts). Returns the
 * running turns.
 */
export async function detachAccount(id: string): Promise<string[]> {
  return pool().sql.begin(async (sql) => {
    await sql`
      update users set email = null, name = null, password_hash = null, last_seen_at = 'epoch' where id = ${id}`;
    await endAllCredentials(sql, id);
    const running = await sql<{ id: string }[]>`select id from turns where user_id = ${id} and state = 'running'`;
    return running.map((turn) => turn.id);
  });
}

/** Keeps how many tokens the server used per day, but not who used them. */
export async function anonymizeUsage(userId: string): Promise<void> {
  await pool().sql`update token_usage set user_id = gen_random_uuid() where user_id = ${userId}`;
}
