// DELETE /api/tokens/{id}: revokes a token immediately.
import { requireUser } from "@/lib/auth";
import { route } from "@/lib/http";
import { revokeToken } from "@/lib/services/users/users";

export const DELETE = route<{ tokenId: string }>(async (request, { tokenId }) => {
  const user = await requireUser(request);
  await revokeToken(user.id, tokenId);
  return new Response(null, { status: 204 });
});
