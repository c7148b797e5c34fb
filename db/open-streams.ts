// Open streams per user and server: rows that servers publish for users with more than a few. Rows
// are refreshed and expire by the database's clock, so a dead server stops counting.
import "server-only";
import { pool } from "./client";

/** Older rows belong to a dead server. */
const expirySeconds = 15;

export type StreamClaim = {
  userId: string;
  /** Open at this server now; never refused. */
  open: number;
  /** What the server asks for. */
  wanted: number;
};
export type StreamGrant = {
  userId: string;
  /** What the server may have open, between `open` and `wanted`. */
  granted: number;
  /** Published by other servers. */
  elsewhere: number;
};
export type PublishedStreams = { userId: string; streams: number };

/** Raises this server's rows up to the ceiling; serializes claims for one user across servers. */
export async function claimStreams(serverId: string, claims: StreamClaim[], ceiling: number): Promise<StreamGrant[]> {
  const rows = await pool().sql`
    select owner, granted, elsewhere from claim_streams(
      ${serverId}::uuid, ${claims.map(({ userId }) => userId)}::uuid[], ${claims.map(({ open }) => open)}::int[],
      ${claims.map(({ wanted }) => wanted)}::int[], ${ceiling}::int, ${expirySeconds}::int
    )`;
  return rows.map((row) => ({ userId: row.owner, granted: row.granted, elsewhere: row.elsewhere }));
}

/** Writes this server's current rows; deletes those without streams and those of dead servers. */
export async function publishStreams(serverId: string, counts: PublishedStreams[]): Promise<void> {
  await pool().sql`
    with published as (
      select * from unnest(
        ${counts.map(({ userId }) => userId)}::uuid[], ${counts.map(({ streams }) => streams)}::int[]
      ) as counts (user_id, streams)
    ), deleted as (
      delete from open_streams
      where server_id = ${serverId}::uuid and user_id in (select user_id from published where streams = 0)
    ), expired as (
      -- Long after they stopped counting. Skips what another server deletes or, after a long pause, refreshes.
      delete from open_streams where (user_id, server_id) in (
        select user_id, server_id from open_streams
        where server_id <> ${serverId}::uuid and refreshed_at < now() - ${10 * expirySeconds}::int * interval '1 second'
        for update skip locked
      )
    )
    insert into open_streams (user_id, server_id, streams, refreshed_at)
    select user_id, ${serverId}::uuid, streams, now() from published where streams > 0
    on conflict (user_id, server_id) do update set streams = excluded.streams, refreshed_at = excluded.refreshed_at`;
}

/** For shutdown: its clients reconnect elsewhere and must find room. */
export async function withdrawStreams(serverId: string): Promise<void> {
  await pool().sql`delete from open_streams where server_id = ${serverId}::uuid`;
}
