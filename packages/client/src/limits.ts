// The time limits of a stream and its retries, the same for an answer and a feed, in the page and
// in other clients.
import type { Backoff } from "./backoff.ts";

export type LimitOptions = {
  /** The server's HEARTBEAT_MS. Default: the server's, 15 s. */
  heartbeatMs?: number;
  /** Default: 250 ms to 10 s. */
  backoff?: Backoff;
};

type StreamLimits = { firstByteMs: number; silenceMs: number; backoff: Backoff };

export function streamLimits({
  heartbeatMs = 15_000,
  backoff = { minMs: 250, maxMs: 10_000 },
}: LimitOptions): StreamLimits {
  // Two heartbeats may be lost or late before a connection counts as dead.
  return { firstByteMs: heartbeatMs, silenceMs: 2.5 * heartbeatMs, backoff };
}

/** Streams without a chunk before polling starts: with the default backoff about 2 s on average. */
export const failuresBeforePolling = 4;
/** Often enough for an answer whose text cannot be watched anyway. */
export const pollMs = 3_000;
