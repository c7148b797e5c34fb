// GET, PATCH (rename, pin) and DELETE of one chat.
import { z } from "zod";
import { requireUser } from "@/lib/auth";
import { changeChat, chatTitle, deleteChat, requireChat } from "@/lib/chats/chats";
import { readJson, route } from "@/lib/http";

type Params = { chatId: string };
const body = z.object({ title: chatTitle.optional(), pinned: z.boolean().optional() });

export const GET = route<Params>(async (request, { chatId }) => {
  const user = await requireUser(request);
  return Response.json(await requireChat(user.id, chatId));
});

export const PATCH = route<Params>(async (request, { chatId }) => {
  const user = await requireUser(request);
  return Response.json(await changeChat(user.id, chatId, await readJson(request, body)));
});

export const DELETE = route<Params>(async (request, { chatId }) => {
  const user = await requireUser(request);
  await deleteChat(user.id, chatId);
  return new Response(null, { status: 204 });
});
