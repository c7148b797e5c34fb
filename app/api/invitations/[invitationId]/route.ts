// DELETE /api/invitations/{id}: revokes the link. Administrators only.
import { requireAdmin } from "@/lib/auth";
import { route } from "@/lib/http";
import { revokeInvitation } from "@/lib/services/users/invitations";

export const DELETE = route<{ invitationId: string }>(async (request, { invitationId }) => {
  await requireAdmin(request);
  await revokeInvitation(invitationId);
  return new Response(null, { status: 204 });
});
