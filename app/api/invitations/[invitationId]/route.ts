// DELETE /api/invitations/{id}: revokes the link. Administrators only.
import { requireAdmin } from "@/lib/auth";
import { revokeInvitation } from "@/lib/chats/invitations";
import { route } from "@/lib/http";

export const DELETE = route<{ invitationId: string }>(async (request, { invitationId }) => {
  await requireAdmin(request);
  await revokeInvitation(invitationId);
  return new Response(null, { status: 204 });
});
