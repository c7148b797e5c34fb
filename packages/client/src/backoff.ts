// Backoff delays, and the page events that affect retries: network lost or restored, page visible
// again or hidden for a while. Works without a window. Knows nothing of what is retried.

export type Backoff = {
  minMs: number;
  maxMs: number;
};

/**
 * Full jitter, so that a thousand clients of a restarted server do not reconnect in step.
 * `failures` counts from 1.
 */
export function backoffMs(failures: number, { minMs, maxMs }: Backoff): number {
  return Math.random() * Math.min(maxMs, minMs * 2 ** failures);
}

/**
 * `hidden`: the page has been hidden for `hiddenMs`; fires at most once before it is `visible`
 * again.
 */
type WakeReason = "online" | "offline" | "visible" | "hidden";

/** Subscribes a listener. Never fires without a window or document. */
export type Wake = {
  (listener: (reason: WakeReason) => void): () => void;
  /** True if the page is hidden now. */
  readonly isHidden?: () => boolean;
};

export type PageEvents = {
  window?: EventTarget;
  document?: EventTarget & { readonly visibilityState: string };
  /**
   * Time a page must be hidden before its streams are closed; Infinity keeps them open. Default: 10
   * s.
   */
  hiddenMs?: number;
};

/** Longer than a glance at another tab, which should cost no request. */
const defaultHiddenMs = 10_000;

export function pageWake({
  window = globalThis.window,
  document = globalThis.document,
  hiddenMs = defaultHiddenMs,
}: PageEvents = {}): Wake {
  const isHidden = () => document?.visibilityState === "hidden";
  const wake = (listener: (reason: WakeReason) => void) => {
    const unsubscribe = new AbortController();
    const { signal } = unsubscribe;
    for (const reason of ["online", "offline"] as const)
      window?.addEventListener(reason, () => listener(reason), { signal });
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = () => {
      clearTimeout(timer);
      // A timer of Infinity would fire immediately.
      if (isHidden() && Number.isFinite(hiddenMs)) timer = setTimeout(() => listener("hidden"), hiddenMs);
    };
    document?.addEventListener(
      "visibilitychange",
      () => {
        look();
        if (document.visibilityState === "visible") listener("visible");
      },
      { signal },
    );
    // A page may be opened in the background.
    look();
    return () => {
      clearTimeout(timer);
      unsubscribe.abort();
    };
  };
  return Object.assign(wake, { isHidden });
}

/** Resolves when the page is visible, immediately if it is. Rejects with the signal's reason. */
export async function untilVisible(wake: Wake, signal: AbortSignal): Promise<void> {
  // It may already be visible again by the time the closed stream was noticed.
  if (wake.isHidden?.()) await untilWoken(wake, signal, (reason) => reason === "visible");
}

/**
 * Resolves after the delay, or earlier when the network or the page comes back. Rejects with the
 * signal's reason.
 */
export async function pause(ms: number, wake: Wake, signal: AbortSignal): Promise<void> {
  await untilWoken(wake, signal, (reason) => reason === "online" || reason === "visible", ms);
}

async function untilWoken(
  wake: Wake,
  signal: AbortSignal,
  isAwaited: (reason: WakeReason) => boolean,
  ms?: number,
): Promise<void> {
  signal.throwIfAborted();
  let unsubscribe = () => {};
  let timer: ReturnType<typeof setTimeout> | undefined;
  let onAbort = () => {};
  // `wake` may call back before it returns, and it may throw: clean up either way.
  try {
    await new Promise<void>((resolve, reject) => {
      unsubscribe = wake((reason) => {
        if (isAwaited(reason)) resolve();
      });
      if (ms !== undefined) timer = setTimeout(resolve, ms);
      onAbort = () => reject(signal.reason);
      signal.addEventListener("abort", onAbort);
    });
  } finally {
    clearTimeout(timer);
    unsubscribe();
    signal.removeEventListener("abort", onAbort);
  }
}
