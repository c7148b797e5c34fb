// One user's heavy statements against everybody else's, on a real pool with slow statements.
import { sql as statement } from "drizzle-orm";
import { expect, test } from "vitest";
import { testDatabase } from "@/test/database";
import { database } from "./client";
import { fairShare, QueueFullError } from "./fair-share";

testDatabase();

const sleep = (seconds: number) => database().execute(statement`select pg_sleep(${seconds})`);
/** Holds its slot until released. */
function held(userId: string, started: string[], name: string) {
  const gate = Promise.withResolvers<void>();
  const done = fairShare(userId, async () => {
    started.push(name);
    await gate.promise;
  });
  return { go: gate.resolve, done };
}
const settle = () => new Promise((resolve) => setImmediate(resolve));

test("sixty searches of one user delay neither another user's search nor short statements", async () => {
  const order: string[] = [];
  const attack = Array.from({ length: 60 }, () => fairShare("guest", () => sleep(0.1)).then(() => order.push("guest")));
  await sleep(0);
  order.push("short");
  await fairShare("other", () => sleep(0.1));
  order.push("other");
  await Promise.all(attack);
  expect(order[0]).toBe("short");
  // After at most the two that ran beside it and the two after those.
  expect(order.indexOf("other")).toBeLessThanOrEqual(5);
  expect(order.filter((name) => name === "guest")).toHaveLength(60);
});

test("heavy statements together leave spare connections, and users take turns", async () => {
  const started: string[] = [];
  const users = ["a", "b", "c", "d"];
  const all = users.flatMap((user) => [1, 2, 3].map((number) => held(user, started, `${user}${number}`)));
  await settle();
  expect(started).toHaveLength(5);
  expect(started.filter((name) => name.startsWith("a"))).toHaveLength(2);
  all[0]?.go();
  await all[0]?.done;
  await settle();
  // Users with nothing running come before anyone's third statement.
  expect(started[5]).toBe("d1");
  for (const { go } of all) go();
  await Promise.all(all.map(({ done }) => done));
  expect(new Set(started).size).toBe(12);
});

test("a failure frees its slot, and the queue is bounded", async () => {
  const failing = Array.from({ length: 10 }, () => fairShare("fails", () => Promise.reject(new Error("no"))));
  expect((await Promise.allSettled(failing)).map(({ status }) => status)).toEqual(Array(10).fill("rejected"));
  const started: string[] = [];
  const all = Array.from({ length: 102 }, (_, index) => held("full", started, `${index}`));
  await expect(fairShare("full", async () => "never")).rejects.toThrow(QueueFullError);
  expect(await fairShare("somebody else", async () => "served")).toBe("served");
  for (const { go } of all) go();
  await Promise.all(all.map(({ done }) => done));
});
