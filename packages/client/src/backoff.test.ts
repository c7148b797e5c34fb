import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { pageWake, pause, untilVisible, type Wake } from "./backoff.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const forever = 60_000;
const never = new AbortController().signal;

/** Fires synchronously during subscription. */
const awake: Wake = (listener) => {
  listener("online");
  return unsubscribed;
};
const unsubscribed = vi.fn();
afterEach(() => unsubscribed.mockReset());

it("ends after its time and leaves nothing behind", async () => {
  let ended = false;
  const paused = pause(1_000, () => unsubscribed, never).then(() => (ended = true));
  await vi.advanceTimersByTimeAsync(999);
  expect(ended).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  await paused;
  expect(unsubscribed).toHaveBeenCalledOnce();
});

it("ends on a wake-up during subscription, and unsubscribes", async () => {
  await pause(forever, awake, never);
  expect(unsubscribed).toHaveBeenCalledOnce();
  expect(vi.getTimerCount()).toBe(0);
});

it("rejects with the subscription's error and leaves no timer", async () => {
  const broken: Wake = () => {
    throw new TypeError("window.addEventListener is not a function");
  };
  await expect(pause(forever, broken, never)).rejects.toThrow("addEventListener");
  expect(vi.getTimerCount()).toBe(0);
});

it("ends when the network returns, not when it is lost", async () => {
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

class Page extends EventTarget {
  visibilityState = "visible";

  become(state: "visible" | "hidden"): void {
    this.visibilityState = state;
    this.dispatchEvent(new Event("visibilitychange"));
  }
}

it("reports a hidden page after a delay, even if opened in the background, and never for Infinity", async () => {
  const document = new Page();
  const reasons: string[] = [];
  const unsubscribe = pageWake({ document, hiddenMs: 1_000 })((reason) => reasons.push(reason));
  document.become("hidden");
  await vi.advanceTimersByTimeAsync(999);
  document.become("visible");
  await vi.advanceTimersByTimeAsync(1_000);
  expect(reasons).toEqual(["visible"]);
  document.become("hidden");
  const background = pageWake({ document, hiddenMs: 1_000 })((reason) => reasons.push(`background ${reason}`));
  const never = pageWake({ document, hiddenMs: Number.POSITIVE_INFINITY })((reason) => reasons.push(`never ${reason}`));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(reasons).toEqual(["visible", "hidden", "background hidden"]);
  document.become("visible");
  document.become("hidden");
  for (const each of [unsubscribe, background, never]) each();
  expect(vi.getTimerCount()).toBe(0);
});

it("waits until the page is visible, not for the network", async () => {
  const [document, window] = [new Page(), new EventTarget()];
  const wake = pageWake({ document, window });
  await untilVisible(wake, new AbortController().signal);
  document.become("hidden");
  let seen = false;
  const visible = untilVisible(wake, new AbortController().signal).then(() => (seen = true));
  window.dispatchEvent(new Event("online"));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(seen).toBe(false);
  document.become("visible");
  await visible;
  const leaving = new AbortController();
  document.become("hidden");
  const left = untilVisible(wake, leaving.signal);
  leaving.abort(new Error("left"));
  await expect(left).rejects.toThrow("left");
  expect(vi.getTimerCount()).toBe(0);
});
