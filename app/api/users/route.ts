// POST /api/users: signs up. A guest who is signed in keeps chats and documents.
import { findUserByCookie } from "@/lib/auth";
import { signUp, signUpInput } from "@/lib/chats/users";
import { clientAddress } from "@/lib/client-address";
import { readJson, requireOwnPageOrProgram, route } from "@/lib/http";
import { admit } from "@/lib/route-costs";

export const POST = route(async (request) => {
  requireOwnPageOrProgram(request);
  await admit(request);
  const guest = await findUserByCookie(request.headers.get("cookie"));
  const { id, email, name } = await signUp(await readJson(request, signUpInput), {
    ...(guest?.guest ? { guestId: guest.id } : {}),
    address: clientAddress(request.headers),
  });
  return Response.json({ id, email, name }, { status: 201 });
});
