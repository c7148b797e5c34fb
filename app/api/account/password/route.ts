// POST /api/account/password: changes the password. Ends all sessions and tokens; a browser that
// asks with its session gets a new one.
import { setSession } from "@/app/session";
import { requireCaller } from "@/lib/auth";
import { clientAddress } from "@/lib/client-address";
import { readJson, route } from "@/lib/http";
import { changePassword, passwordChange } from "@/lib/services/users/account";
import { openSession } from "@/lib/services/users/sessions";

export const POST = route(async (request) => {
  const { user } = await requireCaller(request);
  await changePassword(user, await readJson(request, passwordChange), clientAddress(request.headers));
  if (!request.headers.has("authorization")) await setSession(await openSession(user.id, request.headers));
  return new Response(null, { status: 204 });
});
