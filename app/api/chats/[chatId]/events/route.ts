// GET /api/chats/{chatId}/events: which turn is the chat's latest, now and whenever that changes. Never what it says.
import { requireUser } from "@/lib/auth";
import { watchChat } from "@/lib/chats/watch";
import { env } from "@/lib/env";
import { route } from "@/lib/http";
import { logger } from "@/lib/logger";
import { eventStream, eventStreamHeaders, formatFrame } from "@/lib/sse";

export const maxDuration = 300;

export const GET = route<{ chatId: string }>(async (request, { chatId }) => {
  const user = await requireUser(request);
  const watch = await watchChat(user.id, chatId);
  request.signal.addEventListener("abort", () => watch.close(), { once: true });
  const body = eventStream({
    heartbeatMs: env().HEARTBEAT_MS,
    next: async () => {
      const turn = await watch.next();
      // Without an id: there is nothing to resume, a new feed tells the state anew.
      return turn && formatFrame({ data: JSON.stringify({ type: "turn", ...turn }) });
    },
    close: (error) => {
      watch.close();
      if (error) logger.warn({ err: error, chatId }, "feed ended early, the client will come back");
    },
  });
  return new Response(body, { headers: { ...eventStreamHeaders, "X-Chat-Id": chatId } });
});
