// Passwords are checked a few at a time: a storm of sign-ins is refused and not felt by others (lib/chats/passwords.ts).
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { signUp } from "@/test/server";
import { newKey, testCluster } from "./cluster";

// Without rate limits: the queue alone must hold.
const cluster = testCluster();
const storm = 300;
const tokens = 150;
/** Before there was a queue /api/ready waited for 12.7 s. A busy machine may pause for a part of this. */
const mostMs = 2_000;

test.each([
  ["for one email", () => "somebody@example.com"],
  ["spread over emails", () => `${randomUUID()}@example.com`],
])("300 sign-ins at once %s: the surplus is 429, another user's answer and /api/ready go on", async (_, emailOf) => {
  const key = newKey();
  const words = Array.from({ length: tokens }, (_, index) => `word${index}`).join(" ");
  cluster.provider.on(key, [{ tokens: words, perSecond: 50 }, { finish: "stop" }]);
  const stream = await cluster.send(key);
  await stream.until(({ text }) => text.startsWith("word0 word1"));

  let done = false;
  const signIns = Promise.all(
    Array.from({ length: storm }, async () => {
      const answer = await fetch(`${cluster.a.url}/api/tokens`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ email: emailOf(), password: "wrong horse battery" }),
      });
      await answer.body?.cancel();
      return answer;
    }),
  ).finally(() => {
    done = true;
  });
  const readyMs: number[] = [];
  while (!done) {
    const startMs = performance.now();
    expect((await fetch(`${cluster.a.url}/api/ready`)).status).toBe(200);
    readyMs.push(performance.now() - startMs);
  }
  const answers = await signIns;
  const statuses = new Set(answers.map(({ status }) => status));
  expect([...statuses].sort()).toEqual([401, 429]);
  for (const refused of answers.filter(({ status }) => status === 429))
    expect(refused.headers.get("retry-after")).toBe("1");
  expect(Math.max(...readyMs)).toBeLessThan(mostMs);

  expect(await stream.ended).toBe("terminal");
  const arrivalsMs = stream.frames.map(({ atMs }) => atMs);
  const gapsMs = arrivalsMs.slice(1).map((atMs, index) => atMs - (arrivalsMs[index] as number));
  expect(Math.max(...gapsMs)).toBeLessThan(mostMs);
});

test("right passwords are let in again as soon as the storm is over", async () => {
  const account = { email: `${randomUUID()}@example.com`, password: "a long enough password" };
  await signUp(cluster.a.url, account);
});
