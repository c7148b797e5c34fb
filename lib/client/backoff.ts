// How long to wait before trying again, and the page's events that bear on it: the network went or is back, or the page is
// looked at again. Works without a window. Nothing here knows what is tried.

export type Backoff = {
  minMs: number;
  maxMs: number;
};

/** Full jitter, so that a thousand clients of a restarted server do not come back in step. `failures` counts from 1. */
export function backoffMs(failures: number, { minMs, maxMs }: Backoff): number {
  return Math.random() * Math.min(maxMs, minMs * 2 ** failures);
}

type WakeReason = "online" | "offline" | "visible";

/** Calls back until unsubscribed. Where there is no window or document it never does. */
export type Wake = (listener: (reason: WakeReason) => void) => () => void;

export type PageEvents = {
  window?: EventTarget;
  document?: EventTarget & { readonly visibilityState: string };
};

export function pageWake({ window = globalThis.window, document = globalThis.document }: PageEvents = {}): Wake {
  return (listener) => {
    const unsubscribe = new AbortController();
    const { signal } = unsubscribe;
    for (const reason of ["online", "offline"] as const)
      window?.addEventListener(reason, () => listener(reason), { signal });
    document?.addEventListener(
      "visibilitychange",
      () => {
        if (document.visibilityState === "visible") listener("visible");
      },
      { signal },
    );
    return () => unsubscribe.abort();
  };
}

/** Resolves after the time, or at the next wake that gives hope, whichever is first. Rejects with the signal's reason. */
export async function pause(ms: number, wake: Wake, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  let unsubscribe = () => {};
  let timer: ReturnType<typeof setTimeout> | undefined;
  let onAbort = () => {};
  // `wake` may call back before it returns, and it may throw: all is released either way.
  try {
    await new Promise<void>((resolve, reject) => {
      unsubscribe = wake((reason) => {
        if (reason !== "offline") resolve();
      });
      timer = setTimeout(resolve, ms);
      onAbort = () => reject(signal.reason);
      signal.addEventListener("abort", onAbort);
    });
  } finally {
    clearTimeout(timer);
    unsubscribe();
    signal.removeEventListener("abort", onAbort);
  }
}
