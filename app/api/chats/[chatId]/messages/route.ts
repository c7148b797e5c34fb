// GET /api/chats/{chatId}/messages: the visible branch, newest page first; a running answer with
// its text so far.
import { requireUser } from "@/lib/auth";
import { parseQuery, route } from "@/lib/http";
import { listMessages, messageListQuery } from "@/lib/services/chats/messages";

export const GET = route<{ chatId: string }>(async (request, { chatId }) => {
  const user = await requireUser(request);
  return Response.json(await listMessages(user.id, chatId, parseQuery(request, messageListQuery)));
});
