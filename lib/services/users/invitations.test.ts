// Who may sign up with SIGN_UP=invite, and in which role.
import { v7 as uuidv7 } from "uuid";
import { beforeAll, expect, it } from "vitest";
import { pool } from "@/db/client";
import { requireAdmin } from "@/lib/auth";
import { testDatabase } from "@/test/database";
import { createInvitation, invitationInput, listInvitations, revokeInvitation } from "./invitations";
import { createGuest, createToken, findByPassword, signUp, signUpInput, tokenInput } from "./users";

testDatabase();

const address = "203.0.113.9";
const password = "plum gravel 41 lantern";
const newEmail = () => `${uuidv7()}@example.com`;
const account = (invite?: string, email = newEmail()) => signUpInput.parse({ email, password, invite });
const join = (invite?: string, email?: string) => signUp(account(invite, email), { address, local: true });
let adminId: string;

async function invite(fields: object = {}): Promise<{ id: string; token: string }> {
  return createInvitation(adminId, invitationInput.parse(fields));
}

beforeAll(async () => {
  Object.assign(process.env, { SIGN_UP: "invite", ADMIN_EMAILS: "Boss@example.com", RATE_LIMITS: "off" });
  // Concurrently: one is the first account, the others need an invitation.
  const [first, ...others] = (await Promise.allSettled([join(), join(), join()])).sort((a, b) =>
    a.status < b.status ? -1 : 1,
  );
  expect(first).toMatchObject({ status: "fulfilled", value: { admin: true, guest: false } });
  expect(others.map((each) => each.status === "rejected" && each.reason.code)).toEqual(["forbidden", "forbidden"]);
  adminId = (first as PromiseFulfilledResult<{ id: string }>).value.id;
}, 30_000);

it("only the first account needs no invitation, and a guest cannot become an account without one", async () => {
  await expect(join()).rejects.toMatchObject({ code: "forbidden", status: 403 });
  await expect(join("rvi_no-such-invitation")).rejects.toMatchObject({ code: "forbidden" });
  const guest = await createGuest(address);
  await expect(signUp(account(), { address, guestId: guest.id, local: true })).rejects.toMatchObject({
    code: "forbidden",
  });
  expect(await pool().sql`select from users where email is not null`).toHaveLength(1);
});

it("an invitation creates one account, even when used concurrently", async () => {
  const { token } = await invite();
  const results = await Promise.allSettled([join(token), join(token), join(token)]);
  const made = results.filter((each) => each.status === "fulfilled").map(({ value }) => value);
  expect(made).toMatchObject([{ admin: false }]);
  await expect(join(token)).rejects.toMatchObject({ code: "forbidden" });
  expect((await listInvitations())[0]).toMatchObject({ usedAt: expect.any(String) });
  const [stored] = await pool().sql`select hash from invitations`;
  expect(JSON.stringify(stored)).not.toContain(token);
});

it("keeps a guest's chats and id, and applies the invitation's role", async () => {
  const guest = await createGuest(address);
  const { token } = await invite({ role: "admin" });
  const user = await signUp(account(token), { address, guestId: guest.id, local: true });
  expect(user).toMatchObject({ id: guest.id, guest: false, admin: true });
});

it("is valid only for its address, until it expires or is revoked; a failed sign-up does not use it up", async () => {
  const email = newEmail();
  const { token } = await invite({ email: email.toUpperCase() });
  await expect(join(token)).rejects.toMatchObject({ code: "forbidden" });
  await join(token, email);
  const open = await invite();
  await expect(join(open.token, email)).rejects.toMatchObject({ code: "conflict" });
  await join(open.token);

  const late = await invite({ expiresInDays: 1 });
  await pool().sql`update invitations set expires_at = now() where id = ${late.id}`;
  await expect(join(late.token)).rejects.toMatchObject({ code: "forbidden" });
  const revoked = await invite();
  await revokeInvitation(revoked.id);
  await expect(join(revoked.token)).rejects.toMatchObject({ code: "forbidden" });
  await expect(revokeInvitation(revoked.id)).rejects.toMatchObject({ code: "not_found" });
  await expect(revokeInvitation("nonsense")).rejects.toMatchObject({ code: "not_found" });
});

it("administrators are the first account, accounts invited as such, and those in ADMIN_EMAILS", async () => {
  const asked = async (userId: string) => {
    const { token } = await createToken(userId, tokenInput.parse({}));
    return requireAdmin(
      new Request("http://localhost/api/invitations", { headers: { authorization: `Bearer ${token}` } }),
    );
  };
  expect(await asked(adminId)).toMatchObject({ admin: true });
  const listed = await join((await invite()).token, "boss@example.com");
  expect(await asked(listed.id)).toMatchObject({ email: "boss@example.com", admin: true });
  expect(await findByPassword("boss@example.com", password, address)).toMatchObject({ admin: true });
  const other = await join((await invite()).token);
  await expect(asked(other.id)).rejects.toMatchObject({ code: "forbidden", status: 403 });
  await expect(asked((await createGuest(address)).id)).rejects.toMatchObject({ code: "forbidden" });
});

it("limits open invitations, and prunes old ones", async () => {
  await pool().sql`delete from invitations`;
  await pool().sql`
    insert into invitations (id, hash, role, created_by, expires_at)
    select gen_random_uuid(), 'hash ' || n, 'user', ${adminId}, now() + case when n > 199 then -40 else 1 end * interval '1 day'
    from generate_series(1, 210) as n`;
  await invite();
  expect(await listInvitations()).toHaveLength(200);
  await expect(invite()).rejects.toMatchObject({ code: "limit_reached", status: 429 });
});
