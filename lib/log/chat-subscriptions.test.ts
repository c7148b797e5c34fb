import { expect, test } from "vitest";
import { pool } from "@/db/client";
import { testDatabase } from "@/test/database";
import { insertTurns } from "@/test/log/scripted-turn";
import { ChatSubscriptions } from "./chat-subscriptions";

testDatabase();

test("a poll notifies only the watchers of chats that changed since the last one", async () => {
  const [changing, still] = (await insertTurns(2, 30_000)) as [string, string];
  const [row] = await pool().sql`select user_id as id from turns where id = ${changing}`;
  const subscriptions = new ChatSubscriptions();
  const notified = { changing: 0, still: 0 };
  const stop = subscriptions.subscribe(row?.id, `chat-${changing}`, () => void notified.changing++);
  subscriptions.subscribe(row?.id, `chat-${still}`, () => void notified.still++);
  await subscriptions.poll();
  // What happened before the first poll is unknown.
  expect(notified).toEqual({ changing: 1, still: 1 });
  await subscriptions.poll();
  expect(notified).toEqual({ changing: 1, still: 1 });
  await pool().sql`update turns set state = 'complete' where id = ${changing}`;
  await subscriptions.poll();
  expect(notified).toEqual({ changing: 2, still: 1 });
  stop();
  await pool().sql`update chats set updated_at = now() + interval '1 second'`;
  await subscriptions.poll();
  expect(notified).toEqual({ changing: 2, still: 2 });
});
