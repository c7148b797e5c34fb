// GET, PATCH (rename, pin) and DELETE of one chat.
import { requireUser } from "@/lib/auth";
import { readJson, route } from "@/lib/http";
import { changeChat, chatChange, deleteChat, requireChat } from "@/lib/services/chats/chats";

type Params = { chatId: string };

export const GET = route<Params>(async (request, { chatId }) => {
  const user = await requireUser(request);
  return Response.json(await requireChat(user.id, chatId));
});

export const PATCH = route<Params>(async (request, { chatId }) => {
  const user = await requireUser(request);
  return Response.json(await changeChat(user.id, chatId, await readJson(request, chatChange)));
});

export const DELETE = route<Params>(async (request, { chatId }) => {
  const user = await requireUser(request);
  await deleteChat(user.id, chatId);
  return new Response(null, { status: 204 });
});
