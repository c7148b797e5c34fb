import { expect, it } from "vitest";
import { ParseQueue } from "./parse-queue";

const tick = () => new Promise<void>((resolve) => setImmediate(resolve));

function scene(limits: ConstructorParameters<typeof ParseQueue>[0]) {
  const queue = new ParseQueue(limits);
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  return {
    begun,
    upload: (name: string) =>
      queue.run(name.charAt(0), () => {
        begun.push(name);
        return new Promise<void>((resolve) => ends.set(name, resolve));
      }),
    async end(name: string) {
      ends.get(name)?.();
      await tick();
    },
  };
}

it("I23: prefers users with nothing running over users with running files", async () => {
  const { upload, begun, end } = scene({ maxRunning: 2, maxOfUser: 4, maxWaiting: 10 });
  for (const name of ["a1", "a2", "a3", "a4", "b1"]) void upload(name);
  await tick();
  expect(begun).toEqual(["a1", "a2"]);
  await end("a1");
  expect(begun).toEqual(["a1", "a2", "b1"]);
  await end("b1");
  expect(begun).toEqual(["a1", "a2", "b1", "a3"]);
});

it("enforces the per-user and total limits, and forgets finished work", async () => {
  const { upload, end } = scene({ maxRunning: 1, maxOfUser: 2, maxWaiting: 2 });
  for (const name of ["a1", "a2", "b1"]) void upload(name);
  await tick();
  await expect(upload("a3")).rejects.toMatchObject({ code: "rate_limited", retryAfter: 5 });
  await expect(upload("c1")).rejects.toMatchObject({ code: "unavailable", retryAfter: 10 });
  await end("a1");
  const waits = upload("c1");
  for (const name of ["a2", "b1", "c1"]) await end(name);
  await expect(waits).resolves.toBeUndefined();
});

it("continues after failed work", async () => {
  const queue = new ParseQueue({ maxRunning: 1, maxOfUser: 2, maxWaiting: 2 });
  const failed = queue.run("a", () => Promise.reject(new Error("broken")));
  const next = queue.run("a", async () => "done");
  await expect(failed).rejects.toThrow("broken");
  expect(await next).toBe("done");
});
