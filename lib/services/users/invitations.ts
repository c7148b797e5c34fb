// Operations on invitations: links that let people sign up. The route has already checked the
// caller (requireAdmin in lib/auth.ts). A link works once.
import { v7 as uuidv7 } from "uuid";
import { z } from "zod";
import { deleteInvitation, type InvitationRow, insertInvitation, listInvitations as listRows } from "@/db/invitations";
import { hashToken, newInvitationToken } from "@/lib/auth";
import { AppError } from "@/lib/errors";
import { credentials } from "./users";

export const invitationInput = z
  .object({
    email: credentials.shape.email.optional().describe("The only address that may use it. Default: any."),
    role: z.enum(["user", "admin"]).default("user").describe("The account's role."),
    expiresInDays: z.int().min(1).max(30).default(7),
  })
  .meta({ id: "InvitationRequest" });

export type Invitation = {
  id: string;
  email: string | null;
  role: "user" | "admin";
  createdAt: string;
  expiresAt: string;
  usedAt: string | null;
};

/** More than can be open at once, plus recent weeks' closed ones. */
const listed = 500;

/** Returns the token, which is never shown again: `/sign-in?invite=<token>` is the link. */
export async function createInvitation(
  adminId: string,
  { email, role, expiresInDays }: z.output<typeof invitationInput>,
): Promise<Invitation & { token: string }> {
  const token = newInvitationToken();
  const row = await insertInvitation(
    { id: uuidv7(), hash: hashToken(token), email: email ?? null, role, createdBy: adminId },
    expiresInDays,
  );
  if (!row)
    throw new AppError("limit_reached", "There are 200 open invitations. None was created; revoke some first.", {
      retryAfter: 60,
    });
  return { ...describeInvitation(row), token };
}

export async function listInvitations(): Promise<Invitation[]> {
  return (await listRows(listed)).map(describeInvitation);
}

export async function revokeInvitation(id: string): Promise<void> {
  if (!z.uuid().safeParse(id).success || !(await deleteInvitation(id)))
    throw new AppError("not_found", "There is no such invitation.");
}

function describeInvitation({ id, email, role, createdAt, expiresAt, usedAt }: InvitationRow): Invitation {
  return {
    id,
    email,
    role,
    createdAt: createdAt.toISOString(),
    expiresAt: expiresAt.toISOString(),
    usedAt: usedAt?.toISOString() ?? null,
  };
}
