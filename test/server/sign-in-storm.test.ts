// Password checks are limited to a few at a time: a storm of sign-ins is refused and does not
// affect others (lib/services/users/passwords.ts).
import { randomUUID } from "node:crypto";
import { beforeAll, expect, test } from "vitest";
import { signUp } from "@/test/server";
import { bestOf } from "@/test/under-load";
import { newKey, testCluster } from "./cluster";

// Without rate limits: the queue alone must hold.
const cluster = testCluster();
const storm = 300;
const guess = "wrong horse battery";

/**
 * The effect on another user: the longest wait for /api/ready, and the longest gap in an answer at
 * 20 ms per token.
 */
async function measureDuring(bodyOf: () => object) {
  const key = newKey();
  const words = Array.from({ length: 150 }, (_, index) => `word${index}`).join(" ");
  cluster.provider.on(key, [{ tokens: words, perSecond: 50 }, { finish: "stop" }]);
  const stream = await cluster.send(key);
  await stream.until(({ text }) => text.startsWith("word0 word1"));

  let done = false;
  const requests = Promise.all(
    Array.from({ length: storm }, async () => {
      const answer = await fetch(`${cluster.a.url}/api/tokens`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(bodyOf()),
      });
      await answer.body?.cancel();
      return answer;
    }),
  ).finally(() => {
    done = true;
  });
  let readyMs = 0;
  while (!done) {
    const startMs = performance.now();
    expect((await fetch(`${cluster.a.url}/api/ready`)).status).toBe(200);
    readyMs = Math.max(readyMs, performance.now() - startMs);
  }
  const answers = await requests;
  expect(await stream.ended).toBe("terminal");
  const arrivalsMs = stream.frames.map(({ atMs }) => atMs);
  const gapMs = Math.max(...arrivalsMs.slice(1).map((atMs, index) => atMs - (arrivalsMs[index] as number)));
  return { answers, readyMs, gapMs };
}

/** Baseline: as many requests, refused before any password check. */
let plain: Awaited<ReturnType<typeof measureDuring>>;
beforeAll(async () => {
  plain = await measureDuring(() => ({ email: "somebody@example.com", password: "short" }));
  expect(new Set(plain.answers.map(({ status }) => status))).toEqual(new Set([400]));
}, 60_000);

/** Twice the baseline plus a second. Without the queue /api/ready waited for 12.7 s. */
const bearable = (plainMs: number) => 2 * plainMs + 1_000;

test.each([
  ["for one email", () => "somebody@example.com"],
  ["spread over emails", () => `${randomUUID()}@example.com`],
])("300 sign-ins at once %s: the excess is 429; another user's answer and /api/ready continue", async (_, emailOf) => {
  const isBearable = ({ readyMs, gapMs }: typeof plain) =>
    readyMs < bearable(plain.readyMs) && gapMs < bearable(plain.gapMs);
  const timings = await bestOf(3, () => storms(emailOf), isBearable);
  expect(timings.readyMs).toBeLessThan(bearable(plain.readyMs));
  expect(timings.gapMs).toBeLessThan(bearable(plain.gapMs));
});

async function storms(emailOf: () => string): Promise<typeof plain> {
  const timings = await measureDuring(() => ({ email: emailOf(), password: guess }));
  expect([...new Set(timings.answers.map(({ status }) => status))].sort()).toEqual([401, 429]);
  for (const refused of timings.answers.filter(({ status }) => status === 429))
    expect(refused.headers.get("retry-after")).toBe("1");
  return timings;
}

test("correct passwords are accepted again as soon as the storm ends", async () => {
  await measureDuring(() => ({ email: "somebody@example.com", password: guess }));
  await signUp(cluster.a.url, { email: `${randomUUID()}@example.com`, password: "a long enough password" });
});
