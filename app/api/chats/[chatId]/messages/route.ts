// GET /api/chats/{chatId}/messages: the branch in view, oldest first; a running answer with its text so far.
import { requireUser } from "@/lib/auth";
import { listMessages } from "@/lib/chats/messages";
import { route } from "@/lib/http";

export const GET = route<{ chatId: string }>(async (request, { chatId }) => {
  const user = await requireUser(request);
  return Response.json({ messages: await listMessages(user.id, chatId) });
});
