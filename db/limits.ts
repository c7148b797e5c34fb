// Rate limit counters, shared by all servers. Windows follow the database's clock.
import "server-only";
import { pool } from "./client";

export type CounterUse = { key: string; uses: number; windowSeconds: number };
export type CounterState = {
  key: string;
  /** All uses in the window, including these. */
  uses: number;
  msLeft: number;
};

/** Adds these uses, one row per key, in one statement. An expired counter starts a new window. */
export async function addUses(added: CounterUse[]): Promise<CounterState[]> {
  const rows = await pool().sql`
    insert into rate_limits (key, uses, expires_at)
    select key, uses, now() + seconds * interval '1 second'
    from unnest(
      ${added.map(({ key }) => key)}::text[], ${added.map(({ uses }) => uses)}::int[],
      ${added.map(({ windowSeconds }) => windowSeconds)}::int[]
    ) as added (key, uses, seconds)
    -- In one order everywhere: two statements cannot wait for each other.
    order by key
    on conflict (key) do update set
      uses = case when rate_limits.expires_at <= now() then excluded.uses else rate_limits.uses + excluded.uses end,
      expires_at = case when rate_limits.expires_at <= now() then excluded.expires_at else rate_limits.expires_at end
    returning key, uses, (extract(epoch from expires_at - now()) * 1000)::float8 as ms_left`;
  return rows.map((row) => ({ key: row.key, uses: row.uses, msLeft: row.ms_left }));
}

/**
 * Deletes expired counters; returns how many. Skips locked ones: another server may be sweeping.
 */
export async function deleteExpiredCounters(limit: number): Promise<number> {
  const { count } = await pool().sql`
    delete from rate_limits where key = any(array(
      select key from rate_limits where expires_at <= now() order by expires_at limit ${limit} for update skip locked
    ))`;
  return count;
}
