// GET /api/chats/{chatId}/events: the chat's latest turn now and on change, never its content.
import { requireUser } from "@/lib/auth";
import { withClientStream } from "@/lib/client-streams";
import { env } from "@/lib/env";
import { headerId, route } from "@/lib/http";
import { logger } from "@/lib/logger";
import { watchChat } from "@/lib/services/chats/watch-chat";
import { eventStreamHeaders, formatFrame } from "@/lib/sse";

export const maxDuration = 300;

export const GET = route<{ chatId: string }>(async (request, { chatId }) => {
  const user = await requireUser(request);
  return withClientStream(request, user, async (stream) => {
    const watch = stream.own(await watchChat(user.id, chatId));
    const body = stream.events({
      heartbeatMs: env().HEARTBEAT_MS,
      next: async () => {
        const turn = await watch.next();
        // No event id: there is nothing to resume, and a new feed starts with the current state.
        return turn && formatFrame({ data: JSON.stringify({ type: "turn", ...turn }) });
      },
      onError: (error) => logger.warn({ err: error, chatId }, "feed ended early; the client will reconnect"),
    });
    return new Response(body, { headers: { ...eventStreamHeaders, "X-Chat-Id": headerId(chatId) } });
  });
});
