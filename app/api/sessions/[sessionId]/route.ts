// DELETE /api/sessions/{id}: signs out one browser.
import { requireCaller } from "@/lib/auth";
import { route } from "@/lib/http";
import { endSession } from "@/lib/services/users/sessions";

export const DELETE = route<{ sessionId: string }>(async (request, { sessionId }) => {
  await endSession(await requireCaller(request), sessionId);
  return new Response(null, { status: 204 });
});
