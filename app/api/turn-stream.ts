// The way out of every stream: log → dialect → SSE blocks → response (docs/protocol.md §2).
import { followTurn, type Turn } from "@/lib/chats/follow";
import type { Dialect } from "@/lib/dialects/contract";
import { batchEncoder, readFromSeq } from "@/lib/dialects/encode";
import { env } from "@/lib/env";
import { AppError } from "@/lib/errors";
import { logger } from "@/lib/logger";
import { eventStream, eventStreamHeaders } from "@/lib/sse";
import { type Cursor, parseCursor } from "@/lib/turn/cursor";

/** `Last-Event-ID`, else `?after=`; null when neither is there. Throws bad_request for one that no stream gave out. */
export function requestedCursor(request: Request): Cursor | null {
  const text = request.headers.get("last-event-id") || new URL(request.url).searchParams.get("after");
  if (!text) return null;
  const cursor = parseCursor(text);
  if (!cursor)
    throw new AppError("bad_request", "after: is not a cursor. Send the `id` of the last event you received.");
  return cursor;
}

type Options = {
  dialect: Dialect;
  cursor?: Cursor | null;
  /** Join what is stored by now into as few chunks as possible. */
  compact?: boolean;
};

/** 200 with the stream, from behind the cursor to the terminal; 204 when the turn ended and nothing is left for this reader. */
export async function turnStream(
  request: Request,
  turn: Turn,
  { dialect, cursor = null, compact = false }: Options,
): Promise<Response> {
  const reader = await followTurn(turn, cursor, readFromSeq(dialect, cursor), compact);
  const encode = batchEncoder(dialect, turn.id, cursor);
  const next = async (): Promise<string | null> => {
    for (;;) {
      const batch = await reader.next();
      const blocks = batch && encode(batch);
      // A batch may hold nothing that this dialect shows.
      if (blocks !== "") return blocks;
    }
  };
  const headers = { ...eventStreamHeaders, "X-Turn-Id": turn.id, "X-Chat-Id": turn.chatId };
  let first: string | null | undefined;
  if (turn.state !== "running") {
    first = await next();
    if (first === null)
      return new Response(null, { status: 204, headers: { "X-Turn-Id": turn.id, "X-Chat-Id": turn.chatId } });
  }
  request.signal.addEventListener("abort", () => reader.close(), { once: true });
  const body = eventStream({
    heartbeatMs: env().HEARTBEAT_MS,
    next: async () => {
      const blocks = first ?? (await next());
      first = undefined;
      return blocks;
    },
    close: (error) => {
      reader.close();
      if (error) logger.error({ err: error, turnId: turn.id }, "stream ended early, the client will come back");
    },
  });
  return new Response(body, { headers });
}
