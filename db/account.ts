// What changes or ends an account as a whole. Whoever gains or loses rights loses all credentials in the same transaction:
// one that was known before is good for nothing after it.
import "server-only";
import { pool } from "./client";
import { endAllCredentials } from "./sessions";
import type { CallerRow } from "./users";

/** Gives a guest an address and a password; its chats and documents stay. Null when it is no guest. */
export async function upgradeGuest(
  id: string,
  { email, name, passwordHash }: { email: string; name: string | null; passwordHash: string },
): Promise<CallerRow | null> {
  return pool().sql.begin(async (sql) => {
    const [user] = await sql<CallerRow[]>`
      update users set email = ${email}, name = ${name}, password_hash = ${passwordHash}
      where id = ${id} and email is null returning id, email, name`;
    if (user) await endAllCredentials(sql, id);
    return user ?? null;
  });
}

export async function replacePassword(id: string, passwordHash: string): Promise<void> {
  await pool().sql.begin(async (sql) => {
    await sql`update users set password_hash = ${passwordHash} where id = ${id}`;
    await endAllCredentials(sql, id);
  });
}
