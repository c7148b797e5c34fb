// GET /api/chats?q=&cursor=&limit=: a page of the caller's chats. POST: creates one.
import { requireUser } from "@/lib/auth";
import { parseQuery, readJson, route } from "@/lib/http";
import { chatListQuery, createChat, listChats, newChat } from "@/lib/services/chats/chats";

export const GET = route(async (request) => {
  const user = await requireUser(request);
  return Response.json(await listChats(user.id, parseQuery(request, chatListQuery)));
});

export const POST = route(async (request) => {
  const user = await requireUser(request);
  return Response.json(await createChat(user.id, await readJson(request, newChat)), { status: 201 });
});
