import { encode } from "next-auth/jwt";
import { beforeAll, describe, expect, it } from "vitest";
import { pool } from "@/db/client";
import { type Caller, requireCaller, type SessionClaims, sessionCookie } from "@/lib/auth";
import { testDatabase } from "@/test/database";
import {
  cleanUserAgent,
  endAllSessions,
  endOwnSession,
  endSession,
  listSessions,
  openSession,
  renewSession,
} from "./sessions";
import { createGuest, createToken, signUp, signUpInput, tokenInput } from "./users";

testDatabase();

const secret = "a-secret-for-tests-and-nothing-else-0123456789";
const address = "203.0.113.9";
const firefox = new Headers({ "user-agent": "Firefox" });

beforeAll(() => {
  process.env.AUTH_SECRET = secret;
});

const bearer = (value: string) => new Request("http://localhost/", { headers: { authorization: `Bearer ${value}` } });
const newUser = async () => (await createGuest(address)).id;

/** A request with a JWT of these claims. */
async function request(claims: SessionClaims | null): Promise<Request> {
  return bearer((await sessionCookie(new Headers(), claims)).value);
}
const open = async (userId: string, headers = firefox): Promise<Caller> =>
  requireCaller(await request(await openSession(userId, headers)));

/** A JWT from before sessions had rows. */
const oldJwt = (userId: string) => encode({ token: { sub: userId, version: 1 }, secret, salt: "authjs.session-token" });

describe("sessions", () => {
  it("are listed with identifying details, last used first, only to their user", async () => {
    const [userId, otherId] = [await newUser(), await newUser()];
    const first = await open(userId);
    await open(userId, new Headers({ "user-agent": "Phone" }));
    await open(otherId);
    const listed = await listSessions(first);
    const times = { createdAt: expect.any(String), lastSeenAt: expect.any(String), expiresAt: expect.any(String) };
    expect(listed).toEqual([
      { id: expect.any(String), userAgent: "Phone", current: false, ...times },
      { id: first.credential.id, userAgent: "Firefox", current: true, ...times },
    ]);
  });

  it("I24: end one by one and all at once; another user's is unknown", async () => {
    const [userId, otherId] = [await newUser(), await newUser()];
    const requests = await Promise.all([1, 2, 3].map(async () => request(await openSession(userId, firefox))));
    const [first, second, third] = (await Promise.all(requests.map((each) => requireCaller(each)))) as [
      Caller,
      Caller,
      Caller,
    ];
    await expect(endSession(await open(otherId), second.credential.id)).rejects.toMatchObject({ code: "not_found" });
    await endSession(first, second.credential.id);
    await expect(requireCaller((requests[1] as Request).clone())).rejects.toMatchObject({ code: "unauthorized" });
    await expect(endSession(first, second.credential.id)).rejects.toMatchObject({ code: "not_found" });
    expect((await listSessions(first)).map(({ id }) => id).sort()).toEqual(
      [first.credential.id, third.credential.id].sort(),
    );
    await endAllSessions(first);
    for (const each of requests)
      await expect(requireCaller(each.clone())).rejects.toMatchObject({ code: "unauthorized" });
    expect(await listSessions(await open(userId))).toHaveLength(1);
  });

  it("cannot be ended with a token", async () => {
    const userId = await newUser();
    const session = await open(userId);
    const { token } = await createToken(userId, tokenInput.parse({}));
    const caller = await requireCaller(bearer(token));
    await expect(endSession(caller, session.credential.id)).rejects.toMatchObject({ code: "forbidden" });
    await expect(endAllSessions(caller)).rejects.toMatchObject({ code: "forbidden" });
    expect(await listSessions(caller)).toMatchObject([{ id: session.credential.id, current: false }]);
  });

  it("are limited to a hundred: the least recently used ends", async () => {
    const userId = await newUser();
    const claims: (SessionClaims | null)[] = [];
    for (let count = 0; count < 101; count++) claims.push(await openSession(userId, firefox));
    await expect(requireCaller(await request(claims[0] ?? null))).rejects.toMatchObject({ code: "unauthorized" });
    expect(await listSessions(await requireCaller(await request(claims[1] ?? null)))).toHaveLength(100);
  });

  it("cannot be opened for a deleted user", async () => {
    expect(await openSession(crypto.randomUUID(), firefox)).toBeNull();
  });
});

describe("a session from before sessions were stored", () => {
  it("gets a row when renewed, the same one each time, and then references it", async () => {
    const jwt = await oldJwt(await newUser());
    const { credential } = await requireCaller(bearer(jwt));
    expect(credential).toMatchObject({ kind: "session", rowless: true });
    const old = { sub: (credential as { userId: string }).userId, version: 1, jti: credential.id };
    const renewed = await renewSession(old, firefox);
    expect(renewed).toEqual({ sub: old.sub, sid: credential.id, version: 1 });
    expect(await renewSession(old, firefox)).toEqual(renewed);
    expect(await listSessions(await requireCaller(await request(renewed)))).toMatchObject([{ userAgent: "Firefox" }]);
    expect(await renewSession(renewed as SessionClaims, firefox)).toEqual(renewed);
  });

  it("I24: ends on sign-out even without a row, and cannot be renewed", async () => {
    const jwt = await oldJwt(await newUser());
    const caller = await requireCaller(bearer(jwt));
    await endOwnSession(caller);
    await expect(requireCaller(bearer(jwt))).rejects.toMatchObject({ code: "unauthorized" });
    expect(await renewSession({ sub: caller.user.id, version: 1, jti: caller.credential.id }, firefox)).toBeNull();
  });
});

it("I24: a guest who signs up keeps the chats, and all earlier sessions and tokens end", async () => {
  const guestId = await newUser();
  const jwts = [await request(await openSession(guestId, firefox)), bearer(await oldJwt(guestId))];
  const { token } = await createToken(guestId, tokenInput.parse({}));
  const account = signUpInput.parse({ email: "fixed@example.com", password: "correct horse battery" });
  for (const each of [...jwts, bearer(token)])
    expect(await requireCaller(each)).toMatchObject({ user: { id: guestId } });
  expect((await signUp(account, { guestId, address, local: true })).id).toBe(guestId);
  for (const each of [...jwts, bearer(token)])
    await expect(requireCaller(each.clone())).rejects.toMatchObject({ code: "unauthorized" });
  const [left] = await pool().sql`
    select (select count(*)::int from sessions where user_id = ${guestId}) as sessions,
      (select count(*)::int from tokens where user_id = ${guestId}) as tokens`;
  expect(left).toEqual({ sessions: 0, tokens: 0 });
  expect(await open(guestId)).toMatchObject({ user: { id: guestId, guest: false } });
});

it("a failed sign-up ends nothing", async () => {
  const guestId = await newUser();
  const session = await request(await openSession(guestId, firefox));
  const taken = signUpInput.parse({ email: "taken@example.com", password: "correct horse battery" });
  await signUp(taken, { address, local: true });
  await expect(signUp(taken, { guestId, address, local: true })).rejects.toMatchObject({ code: "conflict" });
  expect(await requireCaller(session)).toMatchObject({ user: { id: guestId, guest: true } });
});

it.each([
  ["Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/5.0 (X11; Linux x86_64)"],
  ["\tA\x9bB\xa0\xadC ", "A B\xa0 C"],
  ["x".repeat(5_000), "x".repeat(200)],
])("a user agent is stored as one printable line of bounded length: %j", (given, stored) => {
  expect(cleanUserAgent(new Headers({ "user-agent": given }))).toBe(stored);
});

it("a missing user agent is stored as none", () => {
  expect(cleanUserAgent(new Headers())).toBe("");
});
