// GET /api/tokens: the caller's tokens. POST: makes one, for the caller, for credentials, or for a new guest.
import { z } from "zod";
import { requireUser } from "@/lib/auth";
import { createGuest, createToken, credentials, findByPassword, listTokens, tokenInput } from "@/lib/chats/users";
import { AppError } from "@/lib/errors";
import { clientAddress, parseInput, readJson, route } from "@/lib/http";

const body = tokenInput.extend({
  guest: z.literal(true).optional(),
  email: z.string().optional(),
  password: z.string().optional(),
});

export const GET = route(async (request) => {
  const user = await requireUser(request);
  return Response.json({ tokens: await listTokens(user.id) });
});

export const POST = route(async (request) => {
  const input = await readJson(request, body);
  const userId = await ownerOf(request, input);
  return Response.json(await createToken(userId, input), { status: 201 });
});

async function ownerOf(request: Request, input: z.output<typeof body>): Promise<string> {
  const address = clientAddress(request.headers);
  if (input.guest) return (await createGuest(address)).id;
  if (input.email === undefined && input.password === undefined) return (await requireUser(request)).id;
  const { email, password } = parseInput(credentials, input);
  const user = await findByPassword(email, password, address);
  if (!user) throw new AppError("unauthorized", "The email address or the password is wrong.");
  return user.id;
}
