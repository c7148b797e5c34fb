// Output of every stream: log → dialect → SSE blocks → response (docs/protocol.md §2).
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { v4 as uuidv4 } from "uuid";
import type { ClientStream } from "@/lib/client-streams";
import { aiSdk } from "@/lib/dialects/ai-sdk";
import type { Dialect, Pacing } from "@/lib/dialects/dialect";
import { batchEncoder, readFromSeq } from "@/lib/dialects/encode";
import { writesOf } from "@/lib/dialects/segments";
import { env } from "@/lib/env";
import { AppError } from "@/lib/errors";
import { turnHeaders } from "@/lib/http";
import { logger } from "@/lib/logger";
import { followTurn, type Turn } from "@/lib/services/turns/follow-turn";
import { gatherDeltas, gatherMsOf } from "@/lib/services/turns/gather";
import { loadTurnContext } from "@/lib/services/turns/load-turn-context";
import { untilContent } from "@/lib/services/turns/until-content";
import { BrokenStream, eventStreamHeaders, type Layout } from "@/lib/sse";
import { isTerminal, type TurnError } from "@/lib/turn/chunks";
import { type Cursor, parseCursor } from "@/lib/turn/cursor";

/** Some HTTP clients time out after five seconds without a byte, also while a model thinks. */
const maxHeartbeatMs = 4_000;

/** `Last-Event-ID`, else `?after=`; else null. A malformed cursor throws bad_request. */
export function requestedCursor(request: Request): Cursor | null {
  const text = request.headers.get("last-event-id") || new URL(request.url).searchParams.get("after");
  if (!text) return null;
  const cursor = parseCursor(text);
  if (!cursor)
    throw new AppError("bad_request", "after: is not a cursor. Send the `id` of the last event you received.");
  return cursor;
}

function wantsEvents(request: Request): boolean {
  return request.headers.get("accept")?.toLowerCase().includes("text/event-stream") ?? false;
}

type Options = {
  dialect: Dialect;
  cursor?: Cursor | null;
  /** Merge the stored chunks into as few as possible. */
  compact?: boolean;
  pacing?: Pacing;
  contentType?: string;
  /**
   * If the turn fails before its first content, answer with the failure's HTTP status, where the
   * dialect defines one.
   */
  refuses?: boolean;
};

/**
 * 200 with the stream from the cursor to the terminal; 204 when the turn has ended and nothing is
 * left for this reader.
 */
export async function turnStream(
  request: Request,
  stream: ClientStream,
  turn: Turn,
  { dialect, cursor = null, compact = false, pacing = {}, contentType, refuses = false }: Options,
): Promise<Response> {
  const context = await loadTurnContext(turn, dialect.contextScope);
  const gatherMs = dialect === aiSdk ? gatherMsOf(request) : 0;
  // Text the client already received must not be merged with text still to come.
  const fromSeq = gatherMs > 0 ? (cursor?.seq ?? 0) : readFromSeq(dialect, cursor);
  const follower = stream.own(await followTurn(turn, cursor, fromSeq, compact));
  const flow = gatherMs > 0 ? gatherDeltas(follower, gatherMs) : follower;
  const { reader, failure } =
    refuses && dialect.turnFailure ? await untilContent(flow, maxHeartbeatMs - 500) : { reader: flow };
  if (failure) return refusedTurn(dialect, turn, failure);
  const layout: Layout = dialect.bare && !wantsEvents(request) ? "bare" : "standard";
  const encode = batchEncoder(dialect, context, cursor, pacing, layout);
  let isComplete = turn.state !== "running";
  let isLast = false;
  const nextBatch = async (): Promise<string[] | null> => {
    for (;;) {
      const batch = await reader.next();
      isLast = batch?.some(({ chunk }) => isTerminal(chunk)) ?? false;
      isComplete ||= isLast;
      if (!batch && !isComplete) throw new BrokenStream("the server is shutting down before the turn has ended");
      const blocks = batch && encode(batch);
      // A batch may hold nothing that this dialect shows.
      if (blocks?.length !== 0) return blocks;
    }
  };
  const next = pacing.delayMs
    ? pacedBlocks(nextBatch, pacing.delayMs, stream.signal)
    : dialect.segmented
      ? segments(nextBatch)
      : async () => (await nextBatch())?.join("") ?? null;
  const headers = {
    ...eventStreamHeaders,
    ...dialect.headers,
    ...(contentType && { "Content-Type": contentType }),
    ...turnHeaders(turn),
    ...(turn.state === "running" && { "X-Turn-Age-Ms": String(Math.round(turn.ageMs ?? 0)) }),
  };
  let first: string | null | undefined;
  if (turn.state !== "running") {
    first = await next();
    if (first === null) return new Response(null, { status: 204, headers: turnHeaders(turn) });
  }
  const body = stream.events({
    heartbeatMs: Math.min(env().HEARTBEAT_MS, maxHeartbeatMs),
    layout,
    // Otherwise one batch takes several writes.
    ...(!pacing.delayMs && !dialect.segmented && { isLast: () => isLast }),
    next: async () => {
      const blocks = first ?? (await next());
      first = undefined;
      return blocks;
    },
    onError: (error) => logger.error({ err: error, turnId: turn.id }, "stream ended early; the client will reconnect"),
  });
  return new Response(body, { headers });
}

/** The HTTP response for a failed turn. */
export function refusedTurn(dialect: Dialect, turn: Turn, error: TurnError): Response {
  return refusedCall(dialect, error, turnHeaders(turn));
}

/** The HTTP response for a failed model call. */
export function refusedCall(dialect: Dialect, error: TurnError, given: Record<string, string> = {}): Response {
  const requestId = uuidv4();
  const { code, message } = error;
  const failure = { ...(dialect.turnFailure?.(error) ?? { status: 502, code, message }), requestId };
  const headers = new Headers({ "Cache-Control": "no-store", ...given });
  headers.set("X-Request-Id", requestId);
  if (failure.status === 401) headers.set("WWW-Authenticate", "Bearer");
  if (failure.retryAfter !== undefined) headers.set("Retry-After", String(failure.retryAfter));
  const body = dialect.failure?.(failure) ?? { error: { code, message, requestId } };
  return Response.json(body, { status: failure.status, headers });
}

/** One event-loop turn per write: Node coalesces what is written within one turn. */
function segments(nextBatch: () => Promise<string[] | null>): () => Promise<string | null> {
  let waiting: string[] = [];
  return async () => {
    if (waiting.length > 0) await nextTurn();
    else waiting = writesOf((await nextBatch()) ?? []);
    return waiting.shift() ?? null;
  };
}

/** One block every `delayMs`. Only this reader waits; it reads the log again when it is ready. */
function pacedBlocks(
  nextBatch: () => Promise<string[] | null>,
  delayMs: number,
  signal: AbortSignal,
): () => Promise<string | null> {
  let waiting: string[] = [];
  let sentMs = -delayMs;
  return async () => {
    if (waiting.length === 0) {
      const batch = await nextBatch();
      if (!batch) return null;
      waiting = batch;
    }
    const waitMs = sentMs + delayMs - performance.now();
    if (waitMs > 0) await sleep(waitMs, undefined, { signal });
    sentMs = performance.now();
    return waiting.shift() as string;
  };
}
