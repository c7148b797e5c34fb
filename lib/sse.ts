// Frames to bytes and bytes to a response, by the rules of docs/protocol.md §2. Knows nothing of turns or dialects.

import { passKillPoint } from "./kill-points";

/** One SSE block. `data` is one line; `id` is absent where a client must not resume. */
export type Frame = { event?: string; data: string; id?: string };

/** `id:` is last: some clients lose an event whose id arrived before a cut and whose data did not. */
export function formatFrame({ event, data, id }: Frame): string {
  return `${event ? `event: ${event}\n` : ""}data: ${data}\n${id ? `id: ${id}\n` : ""}\n`;
}

/** First bytes of every stream: a comment, so that proxies and clients see life at once, and the reconnection delay. */
const opening = ": open\nretry: 1000\n\n";
const heartbeat = ": heartbeat\n\n";

export const eventStreamHeaders = {
  "Content-Type": "text/event-stream; charset=utf-8",
  "Cache-Control": "no-cache, no-store, no-transform",
  Connection: "keep-alive",
  "X-Accel-Buffering": "no",
} as const;

type OpenStream = { controller: ReadableStreamDefaultController<Uint8Array>; lastWriteMs: number };

// One timer for all streams of the process, on globalThis because each route is bundled apart.
const key = Symbol.for("rivulet.heartbeats");
type Heart = { streams: Set<OpenStream>; timer: NodeJS.Timeout | null };
const shared = globalThis as { [key]?: Heart };

const encoder = new TextEncoder();

/** As the reason of an abort: the connection is cut, so that a client that cannot resume does not take it for the end. */
export class BrokenStream extends Error {
  /** Next takes errors of this name for no failure of the server. */
  override readonly name = "AbortError";
}

/**
 * A response body that is pulled: `next` is asked for the next blocks only when the client has taken the ones before.
 * Null ends the stream. When `next` throws the stream ends too: without a terminal, so that the client comes back.
 * `close` is called once, when the client leaves or the stream ends. An abort of `signal` ends the stream, also one that is
 * never read.
 */
export function eventStream({
  next,
  close,
  heartbeatMs,
  signal,
}: {
  next: () => Promise<string | null>;
  close: (error?: unknown) => void;
  heartbeatMs: number;
  signal?: AbortSignal;
}): ReadableStream<Uint8Array> {
  let open: OpenStream;
  let ended = false;
  const end = (error?: unknown) => {
    ended = true;
    shared[key]?.streams.delete(open);
    signal?.removeEventListener("abort", onAbort);
    close(error);
  };
  const onAbort = () => {
    if (signal?.reason instanceof BrokenStream) open.controller.error(signal.reason);
    else open.controller.close();
    end();
  };
  return new ReadableStream<Uint8Array>({
    start(controller) {
      open = { controller, lastWriteMs: performance.now() };
      heart(heartbeatMs).streams.add(open);
      controller.enqueue(encoder.encode(opening));
      signal?.addEventListener("abort", onAbort, { once: true });
      // A signal that has aborted fires no event.
      if (signal?.aborted) onAbort();
    },
    async pull(controller) {
      try {
        const blocks = await next();
        // The client left while this was awaited.
        if (ended) return;
        if (blocks === null) {
          controller.close();
          end();
        } else {
          open.lastWriteMs = performance.now();
          controller.enqueue(encoder.encode(blocks));
          if (process.env.CHAOS_BUILD === "on") setImmediate(passKillPoint, "after-send");
        }
      } catch (error) {
        if (ended) return;
        controller.close();
        end(error);
      }
    },
    cancel() {
      end();
    },
  });
}

/** Streams that are sent heartbeats. */
export function heartbeatCount(): number {
  return shared[key]?.streams.size ?? 0;
}

function heart(heartbeatMs: number): Heart {
  shared[key] ??= { streams: new Set(), timer: null };
  const { streams } = shared[key];
  // A tenth of the interval is how early a heartbeat may be; tests use short intervals.
  const tickMs = Math.min(1_000, Math.max(20, heartbeatMs / 10));
  shared[key].timer ??= setInterval(() => {
    const nowMs = performance.now();
    for (const stream of streams) {
      if (nowMs - stream.lastWriteMs < heartbeatMs - tickMs) continue;
      stream.lastWriteMs = nowMs;
      // A client that does not read needs no proof of life.
      if ((stream.controller.desiredSize ?? 0) > 0) stream.controller.enqueue(encoder.encode(heartbeat));
    }
  }, tickMs).unref();
  return shared[key];
}
