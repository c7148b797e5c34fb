import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { pageWake, pause, type Wake } from "./backoff";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const forever = 60_000;
const never = new AbortController().signal;

/** Calls back at once, while it is being subscribed to. */
const awake: Wake = (listener) => {
  listener("online");
  return unsubscribed;
};
const unsubscribed = vi.fn();
afterEach(() => unsubscribed.mockReset());

it("ends after the time and leaves nothing behind", async () => {
  let ended = false;
  const paused = pause(1_000, () => unsubscribed, never).then(() => (ended = true));
  await vi.advanceTimersByTimeAsync(999);
  expect(ended).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  await paused;
  expect(unsubscribed).toHaveBeenCalledOnce();
});

it("ends at a wake that comes while it subscribes, and unsubscribes", async () => {
  await pause(forever, awake, never);
  expect(unsubscribed).toHaveBeenCalledOnce();
  expect(vi.getTimerCount()).toBe(0);
});

it("rejects with what the subscription throws, and leaves no timer that would end it a second time", async () => {
  const broken: Wake = () => {
    throw new TypeError("window.addEventListener is not a function");
  };
  await expect(pause(forever, broken, never)).rejects.toThrow("addEventListener");
  expect(vi.getTimerCount()).toBe(0);
});

it("ends when the network is back, not when it goes", async () => {
  const window = new EventTarget();
  const wake = pageWake({ window });
  let ended = false;
  const paused = pause(forever, wake, never).then(() => (ended = true));
  window.dispatchEvent(new Event("offline"));
  await vi.advanceTimersByTimeAsync(1_000);
  expect(ended).toBe(false);
  window.dispatchEvent(new Event("online"));
  await paused;
  expect(vi.getTimerCount()).toBe(0);
});

it.each(["before it began", "while it lasts"])("rejects with the reason of an abort %s", async (when) => {
  const leaving = new AbortController();
  const reason = new Error("left");
  if (when === "before it began") leaving.abort(reason);
  const paused = pause(forever, () => unsubscribed, leaving.signal);
  leaving.abort(reason);
  await expect(paused).rejects.toBe(reason);
  expect(vi.getTimerCount()).toBe(0);
});
