// Storage ceilings per user. The database checks them in the transaction that adds, under a lock on
// the user's row.
import "server-only";
import { type SQL, sql } from "drizzle-orm";

/** Maximum rows and bytes per user. Undefined ones are not checked. */
export type Ceilings = { [what in "chats" | "tokens" | "documents" | "bytes"]?: number | undefined };

/** Raises RV001 above a ceiling. Run it last in a transaction that adds, to keep the lock short. */
export function requireCapacity(userId: string, { chats, tokens, documents, bytes }: Ceilings): SQL {
  return sql`select require_room(
    ${userId}::uuid, ${chats ?? null}::int, ${tokens ?? null}::int, ${documents ?? null}::int, ${bytes ?? null}::bigint, 0
  )`;
}
