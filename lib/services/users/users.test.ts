import { beforeAll, describe, expect, it } from "vitest";
import { pool } from "@/db/client";
import { requireCaller, requireUser } from "@/lib/auth";
import { createChat, findChat } from "@/lib/services/chats/chats";
import { testDatabase } from "@/test/database";
import {
  createGuest,
  createToken,
  credentials,
  findByPassword,
  listTokens,
  revokeToken,
  signUp,
  signUpInput,
  tokenInput,
} from "./users";

testDatabase();

const address = "203.0.113.9";
const password = "correct horse";
const account = (email: string) => signUpInput.parse({ email, password });
const bearer = (token: string) => new Request("http://localhost/", { headers: { authorization: `Bearer ${token}` } });

describe("signing up and in", () => {
  it("normalises the address and stores only a hash of the password", async () => {
    const user = await signUp(account("Ada@Example.com"), { address, local: true });
    expect(user).toMatchObject({ email: "ada@example.com", guest: false });
    const { email } = credentials.parse({ email: "ADA@EXAMPLE.COM", password });
    expect(await findByPassword(email, password, address)).toEqual(user);
    const [row] = await pool().sql`select password_hash as hash from users where id = ${user.id}`;
    expect(row?.hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    await expect(signUp(account("aDa@example.com"), { address, local: true })).rejects.toMatchObject({ status: 409 });
  });

  it("rejects a wrong password, an unknown address and a guest without a password", async () => {
    await signUp(account("bob@example.com"), { address, local: true });
    await createGuest(address);
    expect(await findByPassword("bob@example.com", "wrong horse", address)).toBeNull();
    expect(await findByPassword("bob@example.com", "", address)).toBeNull();
    expect(await findByPassword("nobody@example.com", password, address)).toBeNull();
    expect(await findByPassword("", password, address)).toBeNull();
  });

  it("takes as long for an unknown address as for a wrong password", async () => {
    await signUp(account("carol@example.com"), { address, local: true });
    const fastestMs = async (email: string) => {
      let best = Number.POSITIVE_INFINITY;
      for (let i = 0; i < 4; i++) {
        const startMs = performance.now();
        expect(await findByPassword(email, "wrong horse", `${address} ${i}`)).toBeNull();
        best = Math.min(best, performance.now() - startMs);
      }
      return best;
    };
    // Without a hash check it would take a twentieth of the time. Half is far from both.
    const known = await fastestMs("carol@example.com");
    const unknown = await fastestMs("nobody-2@example.com");
    expect(unknown).toBeGreaterThan(known / 2);
  });

  it("gives an address to only one of many concurrent sign-ups, guests or not", async () => {
    const guests = await Promise.all([1, 2, 3].map(() => createGuest(address)));
    const wanted = account("dora@example.com");
    const results = await Promise.allSettled([
      ...guests.map(({ id }) => signUp(wanted, { guestId: id, address, local: true })),
      signUp(wanted, { address, local: true }),
    ]);
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const result of results.filter((each) => each.status === "rejected"))
      expect(result.reason).toMatchObject({ code: "conflict" });
  });

  it("limits guessing, by client address and by email", async () => {
    for (let i = 0; i < 10; i++) await findByPassword("eve@example.com", "guess guess", address);
    await expect(findByPassword("eve@example.com", "guess guess", address)).rejects.toMatchObject({
      code: "rate_limited",
      retryAfter: expect.any(Number),
    });
    expect(await findByPassword("eve@example.com", "guess guess", "198.51.100.7")).toBeNull();
  });
});

describe("a guest", () => {
  it("who signs up stays the same user, with all earlier chats", async () => {
    const guest = await createGuest(address);
    expect(guest).toMatchObject({ email: null, guest: true });
    const chat = await createChat(guest.id, {});
    const user = await signUp(account("finn@example.com"), { guestId: guest.id, address, local: true });
    expect(user).toMatchObject({ id: guest.id, email: "finn@example.com", guest: false });
    expect(await findChat(user.id, chat.id)).toMatchObject({ id: chat.id });
    expect(await findByPassword("finn@example.com", password, address)).toMatchObject({ id: guest.id });
  });

  it("with an account is no longer a guest: signing up again creates another user", async () => {
    const first = await signUp(account("gina@example.com"), { address, local: true });
    const second = await signUp(account("gina-2@example.com"), { guestId: first.id, address, local: true });
    expect(second.id).not.toBe(first.id);
    expect(await findByPassword("gina@example.com", password, address)).toMatchObject({ id: first.id });
  });
});

describe("tokens", () => {
  let userId: string;
  let otherId: string;
  beforeAll(async () => {
    [userId, otherId] = (await Promise.all([createGuest(address), createGuest(address)])).map(({ id }) => id) as [
      string,
      string,
    ];
  });

  it("are shown once, listed without the secret, and end when revoked", async () => {
    const { id, token, expiresAt } = await createToken(userId, tokenInput.parse({ name: " CI " }));
    expect({ expiresAt, user: (await requireUser(bearer(token))).id }).toEqual({ expiresAt: null, user: userId });
    const listed = (await listTokens(userId)).tokens;
    expect(listed).toEqual([
      { id, name: "CI", createdAt: expect.any(String), lastUsedAt: expect.any(String), expiresAt: null },
    ]);
    expect((await listTokens(otherId)).tokens).toEqual([]);
    await expect(revokeToken(otherId, id)).rejects.toMatchObject({ status: 404 });
    expect(await requireUser(bearer(token))).toMatchObject({ id: userId });
    await revokeToken(userId, id);
    await expect(requireUser(bearer(token))).rejects.toMatchObject({ status: 401 });
    await expect(revokeToken(userId, id)).rejects.toMatchObject({ status: 404 });
  });

  it("are paged, newest first, each once", async () => {
    const { id: owner } = await createGuest(address);
    const made: string[] = [];
    for (let n = 0; n < 5; n++) made.unshift((await createToken(owner, tokenInput.parse({}))).id);
    const seen: string[] = [];
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const page = await listTokens(owner, { limit: 2, ...(cursor && { cursor }) });
      expect(page.tokens.length).toBeLessThanOrEqual(2);
      seen.push(...page.tokens.map(({ id }) => id));
      cursor = page.nextCursor;
    }
    expect(seen).toEqual(made);
    await expect(listTokens(owner, { cursor: "x" })).rejects.toMatchObject({ code: "bad_request" });
  });

  it("cannot be created with an expiry in the past, in any time zone", () => {
    const inMs = (ms: number) => new Date(Date.now() + ms).toISOString();
    const given = (expiresAt: string | null) => tokenInput.safeParse({ expiresAt }).error?.issues[0];
    for (const past of ["2000-01-01T01:00:00+01:00", inMs(-1_000)])
      expect(given(past)).toMatchObject({ path: ["expiresAt"], message: "must lie in the future" });
    for (const good of [null, inMs(60_000), "2999-01-01T01:00:00+01:00"]) expect(given(good)).toBeUndefined();
  });

  it("I24: created with a token expire no later than it, and end when it is revoked", async () => {
    const hours = (count: number) => new Date(Date.now() + count * 3_600_000).toISOString();
    const make = async (input: object, by?: string) =>
      createToken(userId, tokenInput.parse(input), by ? (await requireCaller(bearer(by))).credential : undefined);
    const parent = await make({ expiresAt: hours(1) });
    const eternal = await make({}, parent.token);
    const longer = await make({ expiresAt: hours(2) }, parent.token);
    const shorter = await make({ expiresAt: hours(0.5) }, parent.token);
    const grandchild = await make({}, shorter.token);
    expect([eternal, longer, shorter, grandchild].map(({ expiresAt }) => expiresAt)).toEqual([
      parent.expiresAt,
      parent.expiresAt,
      shorter.expiresAt,
      shorter.expiresAt,
    ]);
    await revokeToken(userId, parent.id);
    for (const { token } of [parent, eternal, longer, shorter, grandchild])
      await expect(requireUser(bearer(token))).rejects.toMatchObject({ status: 401 });
    expect((await listTokens(userId)).tokens).toEqual([]);
  });

  it("cannot be created with a token revoked meanwhile", async () => {
    const parent = await createToken(userId, tokenInput.parse({}));
    const { credential } = await requireCaller(bearer(parent.token));
    await revokeToken(userId, parent.id);
    await expect(createToken(userId, tokenInput.parse({}), credential)).rejects.toMatchObject({ status: 401 });
    expect((await listTokens(userId)).tokens).toEqual([]);
  });
});

it.each([
  [{ email: "no address", password }, "email"],
  [{ email: `${"a".repeat(250)}@example.com`, password }, "email"],
  [{ email: "a@example.com", password: "short" }, "password"],
  [{ email: "a@example.com", password: "x".repeat(201) }, "password"],
  [{ email: "a@example.com", password, name: "" }, "name"],
])("rejects %j for its %s", (input, field) => {
  const result = signUpInput.safeParse(input);
  expect(result.error?.issues.map(({ path }) => path[0])).toEqual([field]);
});
