// Formats frames and streams them as a response body, by the rules of docs/protocol.md §2. Knows
// nothing of turns or dialects.

import { passKillPoint } from "./kill-points";
import { processSingleton } from "./process-singletons";

/** One SSE block. `data` is one line; `id` is absent where a client must not resume. */
export type Frame = { event?: string; data: string; id?: string };

/**
 * Block layout. `standard` is for every parser that follows the specification. `bare` is for code
 * that splits at blank lines and expects blocks to begin with `data: `: a block with data contains
 * nothing else.
 */
export type Layout = "standard" | "bare";

/** JSON leaves these unescaped, but some clients treat them as line ends. */
const lineSeparators = /[\u0085\u2028\u2029]/g;

/**
 * `id:` comes last: some clients lose an event whose id arrived before a cut but whose data did
 * not. `data` is JSON or `[DONE]`.
 */
export function formatFrame({ event, data, id }: Frame, layout: Layout = "standard"): string {
  const line = data.replace(lineSeparators, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);
  const idLine = id ? `id: ${id}\n` : "";
  // In its own block the id comes first: parsers attach the last id read to an event.
  if (layout === "bare") return `${idLine && `${idLine}\n`}data: ${line}\n\n`;
  return `${event ? `event: ${event}\n` : ""}data: ${line}\n${idLine}\n`;
}

/** The client's reconnect delay, in the first block. */
const retry = "retry: 1000\n";

/**
 * A comment as a sign of life for proxies and clients. Some clients would take a following blank
 * line for an empty event.
 */
function formatComment(text: string, layout: Layout): string {
  return `: ${text}\n${layout === "bare" ? "\n" : ""}`;
}

export const eventStreamHeaders = {
  "Content-Type": "text/event-stream; charset=utf-8",
  "Cache-Control": "no-cache, no-store, no-transform",
  Connection: "keep-alive",
  "X-Accel-Buffering": "no",
} as const;

type OpenStream = {
  controller: ReadableStreamDefaultController<Uint8Array>;
  lastWriteMs: number;
  heartbeatMs: number;
  heartbeat: Uint8Array;
};

/** One timer for all streams of the process. */
type Heartbeats = { streams: Set<OpenStream>; timer: NodeJS.Timeout | null };
const heartbeats = processSingleton<Heartbeats>("heartbeats", () => ({ streams: new Set(), timer: null }));

const encoder = new TextEncoder();

/**
 * Cuts the connection, so that a client that cannot resume does not mistake it for the end of the
 * answer.
 */
export class BrokenStream extends Error {
  /** Next does not report errors with this name as server failures. */
  override readonly name = "AbortError";
}

/**
 * A pull-based response body: `next` is called for more blocks only once the client has taken the
 * previous ones. Null ends the stream; so do blocks after which `isLast` returns true, in the same
 * write. If `next` throws, the connection is cut, so the client reconnects. `close` is called once,
 * when the client disconnects or the stream ends, with what `next` threw unless that is a
 * BrokenStream. Aborting `signal` ends the stream, even one that is never read; with a BrokenStream
 * as the reason it cuts the connection.
 */
export function eventStream({
  next,
  isLast,
  close,
  heartbeatMs,
  signal,
  layout = "standard",
}: {
  next: () => Promise<string | null>;
  isLast?: () => boolean;
  close: (error?: unknown) => void;
  heartbeatMs: number;
  signal?: AbortSignal;
  layout?: Layout;
}): ReadableStream<Uint8Array> {
  let open: OpenStream;
  let ended = false;
  let lead = layout === "standard" ? retry : "";
  const end = (error?: unknown) => {
    ended = true;
    heartbeats().streams.delete(open);
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
      const heartbeat = encoder.encode(formatComment("heartbeat", layout));
      open = { controller, lastWriteMs: performance.now(), heartbeatMs, heartbeat };
      heartbeats().streams.add(open);
      startHeartbeats(heartbeatMs);
      const opening = formatComment("open", layout) + (layout === "bare" ? `${retry}\n` : "");
      controller.enqueue(encoder.encode(opening));
      signal?.addEventListener("abort", onAbort, { once: true });
      // An aborted signal fires no event.
      if (signal?.aborted) onAbort();
    },
    async pull(controller) {
      try {
        const blocks = await next();
        // The client disconnected during the await.
        if (ended) return;
        if (blocks === null) {
          controller.close();
          end();
        } else {
          open.lastWriteMs = performance.now();
          controller.enqueue(encoder.encode(lead + blocks));
          lead = "";
          if (isLast?.()) {
            controller.close();
            end();
          }
          if (process.env.CHAOS_BUILD === "on") setImmediate(passKillPoint, "after-send");
        }
      } catch (error) {
        if (ended) return;
        const broken = error instanceof BrokenStream;
        controller.error(broken ? error : new BrokenStream("the stream failed", { cause: error }));
        end(broken ? undefined : error);
      }
    },
    cancel() {
      end();
    },
  });
}

/** Number of streams that get heartbeats. */
export function heartbeatCount(): number {
  return heartbeats().streams.size;
}

function startHeartbeats(heartbeatMs: number): void {
  const state = heartbeats();
  // A heartbeat may be early by one tick, a tenth of the first stream's interval; tests use short
  // intervals.
  const tickMs = Math.min(1_000, Math.max(20, heartbeatMs / 10));
  state.timer ??= setInterval(() => {
    const nowMs = performance.now();
    for (const stream of state.streams) {
      if (nowMs - stream.lastWriteMs < stream.heartbeatMs - tickMs) continue;
      stream.lastWriteMs = nowMs;
      // A client that does not read needs no heartbeat.
      if ((stream.controller.desiredSize ?? 0) > 0) stream.controller.enqueue(stream.heartbeat);
    }
  }, tickMs).unref();
}
