// GET /api/tokens?cursor=&limit=: a page of the caller's tokens. POST: creates one for the caller,
// for an email address and password, or for a new guest.
import type { z } from "zod";
import { type Credential, requireCaller, requireUser, type User } from "@/lib/auth";
import { clientAddress } from "@/lib/client-address";
import { AppError } from "@/lib/errors";
import { parseInput, parseQuery, readJson, requireOwnPageOrProgram, route } from "@/lib/http";
import { pageQuery } from "@/lib/list-cursor";
import { admit } from "@/lib/route-costs";
import {
  createGuest,
  createToken,
  credentials,
  findByPassword,
  listTokens,
  tokenRequest,
} from "@/lib/services/users/users";

export const GET = route(async (request) => {
  const user = await requireUser(request);
  return Response.json(await listTokens(user.id, parseQuery(request, pageQuery)));
});

export const POST = route(async (request) => {
  requireOwnPageOrProgram(request);
  const input = await readJson(request, tokenRequest);
  const { user, credential } = await makerOf(request, input);
  return Response.json(await createToken(user.id, input, credential), { status: 201 });
});

/** The token's user, and the credential of the request unless a password or nothing was given. */
async function makerOf(
  request: Request,
  input: z.output<typeof tokenRequest>,
): Promise<{ user: User; credential?: Credential }> {
  if (!input.guest && input.email === undefined && input.password === undefined) return requireCaller(request);
  await admit(request, undefined, "request");
  const address = clientAddress(request.headers);
  if (input.guest) return { user: await createGuest(address) };
  const { email, password } = parseInput(credentials, input);
  const user = await findByPassword(email, password, address);
  if (!user) throw new AppError("unauthorized", "The email address or the password is wrong.");
  return { user };
}
