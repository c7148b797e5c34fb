import { randomUUID } from "node:crypto";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { closePool, pool } from "@/db/client";
import { testDatabase } from "@/test/database";
import { StreamSlots } from "./stream-slots";

const databaseUrl = testDatabase();
/** The defaults: 50 streams per user, of which each server admits 8 on its own. */
const [ceiling, floor] = [50, 8];
const refusal = { code: "limit_reached", status: 429, retryAfter: 5 };

let user: string;
beforeEach(() => {
  user = randomUUID();
});

type Release = () => void;
/** Opens until refused, at most `most`; the length is the number of open streams. */
async function openUntilRefused(slots: StreamSlots, most: number): Promise<Release[]> {
  const releases: Release[] = [];
  while (releases.length < most) {
    const release = await slots.acquire(user).catch((error: unknown) => {
      expect(error).toMatchObject(refusal);
      return null;
    });
    if (!release) break;
    releases.push(release);
  }
  return releases;
}

async function rows(userId = user): Promise<number[]> {
  const found = await pool().sql`select streams from open_streams where user_id = ${userId} order by streams`;
  return found.map(({ streams }) => streams);
}

describe("statements", () => {
  beforeAll(async () => {
    await pool().sql`create sequence statements`;
    await pool().sql`create function count_statement() returns trigger language plpgsql as $$ begin
      perform nextval('statements'); return null; end $$`;
    await pool().sql`create trigger count_statement after insert or update or delete on open_streams
      for each statement execute function count_statement()`;
    return async () => void (await pool().sql`drop trigger count_statement on open_streams`);
  });

  async function statements(): Promise<number> {
    const [row] = await pool().sql`select case when is_called then last_value else 0 end::int as count from statements`;
    return row?.count;
  }

  it("a few streams per user cost no statements, however many users", async () => {
    const before = await statements();
    const slots = new StreamSlots();
    for (let users = 0; users < 100; users++) {
      user = randomUUID();
      expect(await openUntilRefused(slots, floor)).toHaveLength(floor);
    }
    await slots.publish();
    expect(await statements()).toBe(before);
  });

  it("open streams cost only the refresh, and closing many costs one publication", async () => {
    const slots = new StreamSlots(Number.POSITIVE_INFINITY);
    const releases = await openUntilRefused(slots, 30);
    // The first publication is a refresh.
    await slots.publish();
    const before = await statements();
    for (let second = 0; second < 3; second++) await slots.publish();
    expect(await statements()).toBe(before);
    for (const release of releases.splice(10)) release();
    await slots.publish();
    const published = await statements();
    await slots.publish();
    expect([await rows(), await statements()]).toEqual([[10], published]);
  });
});

it("allows exactly the limit on one server, sequentially and concurrently", async () => {
  expect(await openUntilRefused(new StreamSlots(), ceiling + 1)).toHaveLength(ceiling);
  user = randomUUID();
  const slots = new StreamSlots();
  const results = await Promise.allSettled(Array.from({ length: 2 * ceiling }, () => slots.acquire(user)));
  expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(ceiling);
});

it("several servers together allow the limit, plus the floor that each allows unasked", async () => {
  const servers = Array.from({ length: 3 }, () => new StreamSlots());
  const opens = Array.from({ length: 2 * ceiling }, (_, index) => servers[index % 3]?.acquire(user));
  const results = await Promise.allSettled(opens);
  const open = results.filter(({ status }) => status === "fulfilled").length;
  const [published] = await pool().sql`select sum(streams)::int as streams from open_streams where user_id = ${user}`;
  expect(published?.streams).toBe(ceiling);
  expect(open).toBeGreaterThanOrEqual(ceiling);
  expect(open).toBeLessThanOrEqual(ceiling + 3 * floor);
});

it("a user at the limit on one server gets the floor on another, and more once streams end", async () => {
  const [first, second] = [new StreamSlots(), new StreamSlots()];
  const releases = await openUntilRefused(first, ceiling);
  expect(await openUntilRefused(second, ceiling)).toHaveLength(floor);
  expect(await rows()).toEqual([ceiling]);
  await expect(second.acquire(user)).rejects.toMatchObject({
    ...refusal,
    publicMessage: expect.stringMatching(/^You have 58 streams open, .* Nothing was started; close /),
  });

  for (const release of releases.splice(20)) release();
  await first.publish();
  expect(await openUntilRefused(second, ceiling)).toHaveLength(ceiling - 20 - floor);
});

it("other users are not affected", async () => {
  const slots = new StreamSlots();
  await openUntilRefused(slots, ceiling);
  await expect(slots.acquire(user)).rejects.toMatchObject(refusal);
  user = randomUUID();
  expect(await openUntilRefused(slots, ceiling)).toHaveLength(ceiling);
});

it("deletes a user's row once few streams are open", async () => {
  const slots = new StreamSlots();
  const releases = await openUntilRefused(slots, floor + 1);
  expect(await rows()).toEqual([floor + 1]);
  releases.pop()?.();
  await slots.publish();
  expect(await rows()).toEqual([]);
});

it("rows of a dead server stop counting and are eventually deleted", async () => {
  const died = new StreamSlots();
  await openUntilRefused(died, ceiling);
  const age = (seconds: number) =>
    pool()
      .sql`update open_streams set refreshed_at = now() - ${seconds}::int * interval '1 second' where user_id = ${user}`;
  await age(16);
  const slots = new StreamSlots(0);
  expect(await openUntilRefused(slots, ceiling + 1)).toHaveLength(ceiling);
  await slots.publish();
  expect(await rows()).toEqual([ceiling, ceiling]);
  await pool().sql`update open_streams set refreshed_at = now() - interval '1 hour'`;
  await slots.publish();
  // Its own row is refreshed: a server that was slow, not dead, counts again.
  expect(await rows()).toEqual([ceiling]);
});

it("a server that shuts down frees its slots for the server that its clients reconnect to", async () => {
  const leaving = new StreamSlots();
  await openUntilRefused(leaving, ceiling);
  await leaving.withdraw();
  await leaving.publish();
  expect(await rows()).toEqual([]);
  expect(await openUntilRefused(new StreamSlots(), ceiling)).toHaveLength(ceiling);
});

describe("without the database", () => {
  afterEach(async () => {
    process.env.DATABASE_URL = databaseUrl();
    await closePool();
  });

  it("each server counts alone, and publishes its count when the database is back", async () => {
    const slots = new StreamSlots();
    await openUntilRefused(slots, 10);
    await closePool();
    // Nothing listens on the discard port.
    process.env.DATABASE_URL = "postgres://nobody@127.0.0.1:9/nothing";
    expect(await openUntilRefused(slots, ceiling)).toHaveLength(ceiling - 10);
    await expect(slots.acquire(user)).rejects.toMatchObject(refusal);
    await closePool();
    process.env.DATABASE_URL = databaseUrl();
    await slots.publish();
    expect(await rows()).toEqual([ceiling]);
  });
});
