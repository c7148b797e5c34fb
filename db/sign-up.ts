// Creates accounts: new ones, and guests who add an email address. The transaction that stores the
// account also checks who may sign up and as what, so that one invitation creates one account and
// only one account is the first.
import { advisoryLocks } from "./advisory-locks";
import "server-only";
import { pool, type Statements } from "./client";
import { endAllCredentials } from "./sessions";
import type { CallerRow, UserRow } from "./users";

export type NewAccount = { id: string; email: string; name: string | null; passwordHash: string };

export type SignUpRule = {
  /** Hash of the invitation's token, if any. */
  invitation: string | null;
  /** Sign-up needs no invitation. */
  open: boolean;
  /** May be the first account, whatever the other fields say. */
  first: boolean;
};

/**
 * `closed`: an invitation is required. `invitation`: the one given is used, expired, unknown or for
 * another address. `setup`: this would be the first account, which is not allowed.
 */
export class SignUpRefused extends Error {
  readonly reason: "closed" | "invitation" | "setup";

  constructor(reason: SignUpRefused["reason"]) {
    super(`sign-up refused: ${reason}`);
    this.reason = reason;
  }
}

export async function hasAccounts(sql: Statements = pool().sql): Promise<boolean> {
  const [row] = await sql`select exists (select from users where email is not null) as some`;
  return row?.some ?? false;
}

/**
 * Stores the account, or gives the guest its address and password and revokes the guest's
 * credentials. An installation's first account is an administrator. Throws SignUpRefused, or the
 * unique violation when the address is taken; that does not consume the invitation.
 */
export async function insertAccount(account: NewAccount, rule: SignUpRule, guestId?: string): Promise<CallerRow> {
  const { id, email, name, passwordHash } = account;
  return pool().sql.begin(async (sql) => {
    await sql`select pg_advisory_xact_lock(${advisoryLocks.signUp})`;
    const role = await roleOf(sql, email, rule);
    if (guestId) {
      const [upgraded] = await sql<CallerRow[]>`
        update users set email = ${email}, name = ${name}, password_hash = ${passwordHash}, role = ${role}
        where id = ${guestId} and email is null returning id, email, name, role`;
      if (upgraded) {
        await endAllCredentials(sql, guestId);
        return upgraded;
      }
    }
    await sql`
      insert into users (id, email, name, password_hash, role)
      values (${id}, ${email}, ${name}, ${passwordHash}, ${role})`;
    return { id, email, name, role };
  });
}

async function roleOf(
  sql: Statements,
  email: string,
  { invitation, open, first }: SignUpRule,
): Promise<UserRow["role"]> {
  if (invitation !== null) {
    const [used] = await sql<Pick<UserRow, "role">[]>`
      update invitations set used_at = now()
      where hash = ${invitation} and used_at is null and expires_at > now() and (email is null or email = ${email})
      returning role`;
    if (!used) throw new SignUpRefused("invitation");
    return used.role;
  }
  if (!(await hasAccounts(sql))) {
    if (!first) throw new SignUpRefused("setup");
    return "admin";
  }
  if (!open) throw new SignUpRefused("closed");
  return "user";
}
