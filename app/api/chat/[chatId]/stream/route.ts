// GET /api/chat/{chatId}/stream: follows the chat's live turn, or the cursor's. 204 when there is nothing to follow.
import { requestedCursor, turnStream } from "@/app/api/turn-stream";
import { requireUser } from "@/lib/auth";
import { findFollowed } from "@/lib/chats/follow";
import { withClientStream } from "@/lib/client-streams";
import { aiSdk } from "@/lib/dialects/ai-sdk";
import { route } from "@/lib/http";

export const maxDuration = 300;

export const GET = route<{ chatId: string }>(async (request, { chatId }) => {
  const user = await requireUser(request);
  const cursor = requestedCursor(request);
  const turn = await findFollowed(user.id, chatId, cursor);
  if (!turn) return new Response(null, { status: 204 });
  return withClientStream(request, user, (stream) =>
    turnStream(request, stream, turn, { dialect: aiSdk, cursor, compact: !cursor }),
  );
});
