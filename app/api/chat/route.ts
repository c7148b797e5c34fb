// POST /api/chat: starts a turn and streams it in the AI SDK's format. Works with stock `useChat`.
import { requestedCursor, turnStream } from "@/app/api/turn-stream";
import { keepAlive } from "@/app/keep-alive";
import { requireUser } from "@/lib/auth";
import { withClientStream } from "@/lib/client-streams";
import { aiSdk } from "@/lib/dialects/ai-sdk";
import { readJson, route } from "@/lib/http";
import { parseSend } from "@/lib/services/turns/chat-send";
import { cursorAfterPrefix } from "@/lib/services/turns/continuation";
import { requireTurn } from "@/lib/services/turns/follow-turn";
import { startTurn } from "@/lib/services/turns/start";
import { chatRequest, idempotencyKey } from "@/lib/services/turns/turn-request";

export const maxDuration = 300;

export const POST = route(async (request) => {
  // Some clients reconnect by repeating their POST: one with a cursor must not start a turn.
  const cursor = requestedCursor(request);
  const user = await requireUser(request, cursor ? "stream" : undefined);
  if (cursor) {
    const turn = await requireTurn(user.id, cursor.turnId);
    return withClientStream(request, user, (stream) => turnStream(request, stream, turn, { dialect: aiSdk, cursor }));
  }
  const { request: turnRequest, resumesAfterPrefix } = parseSend(
    await readJson(request, chatRequest),
    idempotencyKey(request),
  );
  return withClientStream(request, user, async (stream) => {
    const turn = await startTurn(user.id, turnRequest, keepAlive);
    return turnStream(request, stream, turn, {
      dialect: aiSdk,
      cursor: resumesAfterPrefix ? cursorAfterPrefix(turn) : null,
    });
  });
});
