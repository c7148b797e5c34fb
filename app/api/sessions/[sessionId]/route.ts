// DELETE /api/sessions/{id}: signs out one browser.
import { requireCaller } from "@/lib/auth";
import { endSession } from "@/lib/chats/sessions";
import { route } from "@/lib/http";

export const DELETE = route<{ sessionId: string }>(async (request, { sessionId }) => {
  await endSession(await requireCaller(request), sessionId);
  return new Response(null, { status: 204 });
});
