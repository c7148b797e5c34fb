// GET /api/chat/{chatId}/stream: follows the chat's live turn, or the cursor's turn; 204 when there
// is nothing to follow.
// POST and GET /api/chat/{number}/stream: the path that clients of dialect `rag` use
// (docs/protocol.md §6.4).
import { requestedCursor, turnStream } from "@/app/api/turn-stream";
import { corsRoute } from "@/app/cors-route";
import { handleDialect } from "@/app/dialect-handler";
import { keepAlive } from "@/app/keep-alive";
import { requireUser } from "@/lib/auth";
import { withClientStream } from "@/lib/client-streams";
import { aiSdk } from "@/lib/dialects/ai-sdk";
import { registry } from "@/lib/dialects/registry";
import { AppError } from "@/lib/errors";
import { findChat } from "@/lib/services/chats/chats";
import { findTurnToFollow } from "@/lib/services/turns/follow-turn";
import { isChatNumber } from "@/lib/turn/turn-options";

export const maxDuration = 300;

const handler = handleDialect(registry, keepAlive);
const numbered = (request: Request, number: string) => handler(request, `/chat/${number}/stream`);

export const GET = corsRoute<{ chatId: string }>(async (request, { chatId }) => {
  const user = await requireUser(request);
  // A client may have chosen a chat id that looks like a number.
  if (isChatNumber(chatId) && !(await findChat(user.id, chatId))) return numbered(request, chatId);
  const cursor = requestedCursor(request);
  const turn = await findTurnToFollow(user.id, chatId, cursor);
  if (!turn) return new Response(null, { status: 204 });
  return withClientStream(request, user, (stream) =>
    turnStream(request, stream, turn, { dialect: aiSdk, cursor, compact: !cursor }),
  );
});

export const POST = corsRoute<{ chatId: string }>(async (request, { chatId }) => {
  if (isChatNumber(chatId)) return numbered(request, chatId);
  await requireUser(request);
  const allow = "GET, HEAD, OPTIONS";
  throw new AppError(
    "method_not_allowed",
    `This address accepts POST only with a chat's number. With an id it accepts ${allow}.`,
    {
      allow,
    },
  );
});

export { preflight as OPTIONS } from "@/lib/cors";
