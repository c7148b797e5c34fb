import { getEventListeners } from "node:events";
import { expect, it } from "vitest";
import { orTimeout, timedOut, unlessAborted } from "./bounded-wait";

const never = new Promise<never>(() => {});
const listeners = (signal: AbortSignal) => getEventListeners(signal, "abort").length;

it("rejects with the abort reason, even if already aborted", async () => {
  const stop = new AbortController();
  const waiting = unlessAborted(never, stop.signal);
  stop.abort("enough");
  await expect(waiting).rejects.toBe("enough");
  await expect(unlessAborted(never, stop.signal)).rejects.toBe("enough");
});

it("leaves no listener behind", async () => {
  const { signal } = new AbortController();
  expect(await unlessAborted(Promise.resolve(1), signal)).toBe(1);
  await expect(unlessAborted(Promise.reject(new Error("broken")), signal)).rejects.toThrow("broken");
  expect(listeners(signal)).toBe(0);
});

it("stops waiting after the time, with the outcome of work that settled before", async () => {
  expect(await orTimeout(never, 1)).toBe(timedOut);
  expect(await orTimeout(Promise.resolve(1), 0)).toBe(1);
  await expect(orTimeout(Promise.reject(new Error("broken")), 0)).rejects.toThrow("broken");
});
