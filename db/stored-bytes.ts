// Counts bytes stored before the database tracked them. Since then triggers add to
// `storage_changes` on every statement.
import "server-only";
import { sweep } from "./client";

/**
 * Adds what up to `limit` users had stored before, and returns the number of users. Computed from
 * one snapshot: everything stored minus what is already counted. So concurrent writes do no harm,
 * and each user is counted once, by one server.
 */
export async function countStoredBytes(limit: number): Promise<number> {
  const [row] = await sweep(
    (sql) => sql`
    with picked as (
      delete from storage_uncounted where user_id = any(array(
        select user_id from storage_uncounted order by user_id limit ${limit} for update skip locked
      ))
      returning user_id
    ), owners as (
      -- Not deleted before this is committed.
      select id from users where id = any(array(select user_id from picked)) for key share
    ), stored as (
      select id,
        coalesce((select sum(message_bytes(parts, metadata)) from messages where user_id = owners.id), 0)
        + coalesce((select sum(bytes) from documents where user_id = owners.id), 0)
        - coalesce((select sum(bytes) from storage_changes where user_id = owners.id), 0) as uncounted
      from owners
    ), counted as (
      insert into storage_changes (user_id, bytes) select id, uncounted from stored where uncounted <> 0
    )
    select count(*)::int as users from picked`,
  );
  return row?.users ?? 0;
}
