// POST /api/users: signs up. A signed-in guest keeps chats and documents and gets a new session.
import { setSession } from "@/app/session";
import { findCallerByCookie } from "@/lib/auth";
import { clientAddress } from "@/lib/client-address";
import { readJson, requireOwnPageOrProgram, route } from "@/lib/http";
import { admit } from "@/lib/route-costs";
import { openSession } from "@/lib/services/users/sessions";
import { isFromThisMachine } from "@/lib/services/users/setup-link";
import { signUp, signUpInput } from "@/lib/services/users/users";

export const POST = route(async (request) => {
  requireOwnPageOrProgram(request);
  await admit(request);
  const guest = (await findCallerByCookie(request.headers))?.user;
  const { id, email, name } = await signUp(await readJson(request, signUpInput), {
    ...(guest?.guest ? { guestId: guest.id } : {}),
    address: clientAddress(request.headers),
    local: isFromThisMachine(request.headers),
  });
  if (id === guest?.id) await setSession(await openSession(id, request.headers));
  return Response.json({ id, email, name }, { status: 201 });
});
