// GET /api/chats?q=&cursor=&limit=: a page of the caller's chats. POST: makes one.
import { z } from "zod";
import { requireUser } from "@/lib/auth";
import { chatTitle, createChat, listChats } from "@/lib/chats/chats";
import { parseInput, readJson, route } from "@/lib/http";
import { clientId } from "@/lib/turn/turn-options";

const query = z.object({
  q: z.string().trim().max(200).optional(),
  cursor: z.string().max(1_000).optional(),
  limit: z.coerce.number().int().min(1).max(100).optional(),
});
const body = z.object({ id: clientId.optional(), title: chatTitle.optional() });

export const GET = route(async (request) => {
  const user = await requireUser(request);
  return Response.json(
    await listChats(user.id, parseInput(query, Object.fromEntries(new URL(request.url).searchParams))),
  );
});

export const POST = route(async (request) => {
  const user = await requireUser(request);
  return Response.json(await createChat(user.id, await readJson(request, body)), { status: 201 });
});
