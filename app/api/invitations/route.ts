// GET /api/invitations: all invitations of this server. POST: creates one. Administrators only.
import { requireAdmin } from "@/lib/auth";
import { readJson, route } from "@/lib/http";
import { createInvitation, invitationInput, listInvitations } from "@/lib/services/users/invitations";

export const GET = route(async (request) => {
  await requireAdmin(request);
  return Response.json({ invitations: await listInvitations() });
});

export const POST = route(async (request) => {
  const { id } = await requireAdmin(request);
  return Response.json(await createInvitation(id, await readJson(request, invitationInput)), { status: 201 });
});
