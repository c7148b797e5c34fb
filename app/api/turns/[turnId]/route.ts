// GET /api/turns/{turnId}: its state. DELETE: stops it.
import { requireUser } from "@/lib/auth";
import { describeTurn, requireTurn } from "@/lib/chats/follow";
import { stopTurn } from "@/lib/chats/stop";
import { route } from "@/lib/http";

type Params = { turnId: string };

export const GET = route<Params>(async (request, { turnId }) => {
  const user = await requireUser(request);
  return Response.json(describeTurn(await requireTurn(user.id, turnId)));
});

export const DELETE = route<Params>(async (request, { turnId }) => {
  const user = await requireUser(request);
  return Response.json(await stopTurn(user.id, turnId));
});
