// Pauses sends in the middle of being stored, by locking a table that they insert into.
import { expect } from "vitest";
import type { Cluster } from "./cluster";

export type HeldTable = { release(): Promise<void> };

/** Blocks inserts into the table until `release`. */
export async function holdTable({ sql }: Cluster, table: "turns" | "messages"): Promise<HeldTable> {
  const held = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const transaction = sql.begin(async (tx) => {
    await tx`lock table ${tx(table)} in share row exclusive mode`;
    held.resolve();
    await released.promise;
  });
  await held.promise;
  return {
    async release() {
      released.resolve();
      await transaction;
    },
  };
}

/** Resolves when `count` sends wait for a lock. Background work may wait for the same one. */
export async function sendsWaiting({ sql }: Cluster, count: number): Promise<void> {
  const waiting = () => sql`
    select 1 from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock' and query like '%insert into turns%'`;
  await expect.poll(async () => (await waiting()).length, { interval: 10, timeout: 10_000 }).toBe(count);
}
