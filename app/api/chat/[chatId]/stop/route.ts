// POST /api/chat/{chatId}/stop: stops the live turn, answers once its terminal is committed.
import { requireUser } from "@/lib/auth";
import { stopChat } from "@/lib/chats/stop";
import { route } from "@/lib/http";

export const POST = route<{ chatId: string }>(async (request, { chatId }) => {
  const user = await requireUser(request);
  return Response.json(await stopChat(user.id, chatId));
});
