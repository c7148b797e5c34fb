// Statements on invitations; db/sign-up.ts consumes them. Shared among administrators: each sees
// and revokes all.
import "server-only";
import { desc, eq } from "drizzle-orm";
import { database, pool } from "./client";
import { invitations } from "./schema";

export type InvitationRow = typeof invitations.$inferSelect;

/** Open invitations per server. */
const maxOpen = 200;
/** How long used or expired ones stay in the list. */
const keepDays = 30;

/** Also deletes old ones. Null when there are too many open ones. */
export async function insertInvitation(
  { id, hash, email, role, createdBy }: Pick<InvitationRow, "id" | "hash" | "email" | "role" | "createdBy">,
  days: number,
): Promise<InvitationRow | null> {
  const { sql } = pool();
  await sql`
    delete from invitations
    where coalesce(used_at, expires_at) < now() - ${keepDays}::int * interval '1 day'`;
  const rows = await sql`
    insert into invitations (id, hash, email, role, created_by, expires_at)
    select ${id}::uuid, ${hash}::text, ${email}::text, ${role}::text, ${createdBy}::uuid, now() + ${days}::int * interval '1 day'
    where (select count(*) from invitations where used_at is null and expires_at > now()) < ${maxOpen}::int
    returning id`;
  if (rows.length === 0) return null;
  const [row] = await database().select().from(invitations).where(eq(invitations.id, id));
  return row ?? null;
}

/** Newest first. */
export async function listInvitations(limit: number): Promise<InvitationRow[]> {
  return database().select().from(invitations).orderBy(desc(invitations.createdAt), desc(invitations.id)).limit(limit);
}

export async function deleteInvitation(id: string): Promise<boolean> {
  const rows = await database().delete(invitations).where(eq(invitations.id, id)).returning({ id: invitations.id });
  return rows.length > 0;
}
