// The ceilings on what a user stores. The database counts, under a lock of the user's row, in the transaction that adds.
import "server-only";
import { type SQL, sql } from "drizzle-orm";

/** Most rows and bytes of a user. What is left out is not checked. */
export type Ceilings = { [what in "chats" | "tokens" | "documents" | "bytes"]?: number | undefined };

/** Raises RV001 when the user has more than this. For the end of a transaction that adds, so that the lock is short. */
export function requireRoom(userId: string, { chats, tokens, documents, bytes }: Ceilings): SQL {
  return sql`select require_room(
    ${userId}::uuid, ${chats ?? null}::int, ${tokens ?? null}::int, ${documents ?? null}::int, ${bytes ?? null}::bigint, 0
  )`;
}
