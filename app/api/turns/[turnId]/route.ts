// GET /api/turns/{turnId}: the turn's state. DELETE: stops it.
import { corsRoute } from "@/app/cors-route";
import { requireUser } from "@/lib/auth";
import { describeTurn, requireTurn } from "@/lib/services/turns/follow-turn";
import { stopTurn } from "@/lib/services/turns/stop";

type Params = { turnId: string };

export const GET = corsRoute<Params>(async (request, { turnId }) => {
  const user = await requireUser(request);
  return Response.json(describeTurn(await requireTurn(user.id, turnId)));
});

export const DELETE = corsRoute<Params>(async (request, { turnId }) => {
  const user = await requireUser(request);
  return Response.json(await stopTurn(user.id, turnId));
});

export { preflight as OPTIONS } from "@/lib/cors";
