// Bounds a wait for work that may ignore an abort or never settle. The work itself continues, and
// its outcome is ignored.

/**
 * Rejects with the signal's reason as soon as it aborts, and immediately if it already has, since
 * it then fires no event.
 */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

export const timedOut = Symbol("timed out");

/**
 * Resolves to `timedOut` after `timeoutMs`, unless the work has settled by then. Leaves no timer
 * behind and does not keep the process alive.
 */
export async function orTimeout<T>(work: Promise<T>, timeoutMs: number): Promise<T | typeof timedOut> {
  const late = Promise.withResolvers<typeof timedOut>();
  const timer = setTimeout(late.resolve, Math.max(0, timeoutMs), timedOut).unref();
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
