// GET /api/sessions: the caller's sessions. DELETE: signs out everywhere.
import { setSession } from "@/app/session";
import { requireCaller } from "@/lib/auth";
import { route } from "@/lib/http";
import { endAllSessions, listSessions } from "@/lib/services/users/sessions";

export const GET = route(async (request) => {
  const caller = await requireCaller(request);
  return Response.json({ sessions: await listSessions(caller) });
});

export const DELETE = route(async (request) => {
  await endAllSessions(await requireCaller(request));
  await setSession(null);
  return new Response(null, { status: 204 });
});
