// POST /api/chat/{chatId}/stop: stops the live turn; answers once its terminal is committed.
import { corsRoute } from "@/app/cors-route";
import { requireUser } from "@/lib/auth";
import { stopChat } from "@/lib/services/turns/stop";

export const POST = corsRoute<{ chatId: string }>(async (request, { chatId }) => {
  const user = await requireUser(request);
  return Response.json(await stopChat(user.id, chatId));
});

export { preflight as OPTIONS } from "@/lib/cors";
