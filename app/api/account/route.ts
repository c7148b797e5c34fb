// DELETE /api/account: deletes the caller's account and everything in it.
import { setSession } from "@/app/session";
import { requireCaller } from "@/lib/auth";
import { clientAddress } from "@/lib/client-address";
import { readJson, route } from "@/lib/http";
import { accountDeletion, deleteAccount } from "@/lib/services/users/account";

export const maxDuration = 300;

export const DELETE = route(async (request) => {
  const caller = await requireCaller(request);
  await deleteAccount(caller, await readJson(request, accountDeletion), clientAddress(request.headers));
  await setSession(null);
  return new Response(null, { status: 204 });
});
