// The feed of a chat (docs/protocol.md §5): its latest turn, immediately and on every change,
// from any client. Reconnects for as long as the caller wants it, and is closed while the page
// is hidden. transport.ts streams the turn's content.
import { z } from "zod";
import { backoffMs, type PageEvents, pageWake, pause, untilVisible } from "./backoff.ts";
import { type LimitOptions, streamLimits } from "./limits.ts";
import { type Http, RequestError, request } from "./request.ts";
import { type Frame, parseJson, StreamConnection } from "./stream-connection.ts";

const turnStatus = z.object({
  type: z.literal("turn"),
  turnId: z.string(),
  status: z.enum(["running", "complete", "stopped", "failed", "interrupted"]),
});
export type TurnStatus = z.infer<typeof turnStatus>;

export type ChatFeedOptions = Http &
  PageEvents &
  LimitOptions & {
    chatId: string;
    onTurn: (news: TurnStatus) => void;
    /** Aborting closes the feed. */
    signal: AbortSignal;
  };

/**
 * Calls `onTurn` in order until the signal aborts; after a reconnect first with the current state.
 * Rejects with the signal's reason, or with RequestError if the feed is unavailable: `not_found`,
 * `unauthorized`.
 */
export async function followChat(options: ChatFeedOptions): Promise<never> {
  const { chatId, onTurn, signal } = options;
  const { backoff, ...limits } = streamLimits(options);
  const wake = pageWake(options);
  for (let failures = 1; ; failures++) {
    const line = new StreamConnection({ signal, wake, ...limits });
    let retryAfterMs = 0;
    try {
      const response = await request(options, `/api/chats/${encodeURIComponent(chatId)}/events`, {
        signal: line.signal,
      });
      for await (const frame of line.frames(response)) {
        failures = 0;
        const news = findTurnStatus(frame);
        if (news) onTurn(news);
      }
    } catch (error) {
      if (!(error instanceof RequestError) || !(error.temporary || error.status === 429)) throw error;
      retryAfterMs = error.retryAfterMs ?? 0;
    } finally {
      line.close();
    }
    if (line.parked) await untilVisible(wake, signal);
    else if (!line.networkChanged) await pause(Math.max(backoffMs(failures, backoff), retryAfterMs), wake, signal);
  }
}

/** Null for unknown events of a newer server. */
function findTurnStatus({ data }: Frame): TurnStatus | null {
  return turnStatus.safeParse(parseJson(data)).data ?? null;
}
