import { encode } from "next-auth/jwt";
import { v7 as uuidv7 } from "uuid";
import { beforeAll, describe, expect, it } from "vitest";
import { pool } from "@/db/client";
import { endSession, insertSession } from "@/db/sessions";
import { insertToken, insertUser } from "@/db/users";
import { testDatabase } from "@/test/database";
import { findCallerByCookie, generateToken, hashToken, requireCaller, requireUser, sessionCookie } from "./auth";

testDatabase();

const secret = "a-secret-for-tests-and-nothing-else-0123456789";
const previous = "the-secret-of-before-and-nothing-else-0123456";
const cookieName = "authjs.session-token";
const url = "http://localhost:3000/api/chats";
let userId: string;
let sid: string;

beforeAll(async () => {
  process.env.AUTH_SECRET = secret;
  process.env.AUTH_SECRET_PREVIOUS = previous;
  userId = uuidv7();
  sid = uuidv7();
  await insertUser({ id: userId, email: "ada@example.com", name: "Ada", passwordHash: null });
  await insertSession(pool().sql, { id: sid, userId, userAgent: "" });
});

async function token(expiresAt: Date | null = null): Promise<string> {
  const token = generateToken();
  await insertToken({ id: uuidv7(), userId, name: "t", hash: hashToken(token), expiresAt });
  return token;
}

const session = (claims: object, options: { secret?: string; salt?: string; maxAge?: number } = {}) =>
  encode({ token: { sub: userId, sid, version: 1, ...claims }, secret, salt: cookieName, ...options });
const bearer = (value: string) => new Request(url, { headers: { authorization: `Bearer ${value}` } });
const cookie = (value: string, init: RequestInit = {}) =>
  new Request(url, {
    ...init,
    headers: { host: "localhost:3000", cookie: `a=b; ${cookieName}=${value}; c=d`, ...init.headers },
  });

/** The claims of one user with another user's session row. */
async function ofSomebodyElse(): Promise<string> {
  const id = uuidv7();
  await insertUser({ id, email: null, name: null, passwordHash: null });
  return session({ sub: id });
}

describe("a token", () => {
  it("authenticates its user, and is stored only as a hash", async () => {
    const value = await token();
    expect(await requireUser(bearer(value))).toEqual({
      id: userId,
      email: "ada@example.com",
      name: "Ada",
      guest: false,
      admin: false,
    });
    const rows = await pool().sql`select tokens::text as row from tokens`;
    expect(rows.length).toBeGreaterThan(0);
    for (const { row } of rows) expect(row).not.toContain(value.slice(4, 24));
  });

  it("is long and unique", () => {
    const tokens = new Set(Array.from({ length: 100 }, generateToken));
    expect(tokens.size).toBe(100);
    for (const value of tokens) expect(value).toMatch(/^rvl_[A-Za-z0-9_-]{43}$/);
  });

  it("expires", async () => {
    expect(await requireUser(bearer(await token(new Date(Date.now() + 60_000))))).toMatchObject({ id: userId });
    await expect(requireUser(bearer(await token(new Date(Date.now() - 1_000))))).rejects.toMatchObject({ status: 401 });
  });

  it("records its last use, once a minute", async () => {
    const value = await token();
    const usedAt = async () =>
      (await pool().sql`select last_used_at::text as at from tokens where hash = ${hashToken(value)}`)[0]?.at as
        | string
        | null;
    expect(await usedAt()).toBeNull();
    await requireUser(bearer(value));
    const first = await usedAt();
    expect(first).not.toBeNull();
    await requireUser(bearer(value));
    expect(await usedAt()).toBe(first);
    await pool().sql`update tokens set last_used_at = now() - interval '2 minutes' where hash = ${hashToken(value)}`;
    await requireUser(bearer(value));
    expect(((await usedAt()) ?? "") > (first ?? "")).toBe(true);
  });
});

describe("a session", () => {
  it("is read from the cookie, with and without TLS, and as a bearer", async () => {
    expect(await requireUser(cookie(await session({})))).toMatchObject({ id: userId });
    expect(await requireUser(bearer(await session({})))).toMatchObject({ id: userId });
    const secure = "__Secure-authjs.session-token";
    const value = await session({}, { salt: secure });
    const overTls = new Headers({ cookie: `${secure}=${value}`, "x-forwarded-proto": "https" });
    expect(await findCallerByCookie(overTls)).toMatchObject({ user: { id: userId } });
    expect(await findCallerByCookie(new Headers())).toBeNull();
  });

  it("over TLS is read only from the prefixed cookie, which a host without TLS cannot set", async () => {
    const plain = { cookie: `${cookieName}=${await session({})}` };
    expect(await findCallerByCookie(new Headers(plain))).toMatchObject({ user: { id: userId } });
    const overTls = { ...plain, "x-forwarded-proto": "https" };
    expect(await findCallerByCookie(new Headers(overTls))).toBeNull();
    await expect(requireUser(new Request(url, { headers: overTls }))).rejects.toMatchObject({ status: 401 });
  });

  it("has a cookie that is HttpOnly, and Secure over TLS", async () => {
    const made = await sessionCookie(new Headers({ "x-forwarded-proto": "https" }), { sub: userId, sid, version: 1 });
    expect(made).toMatchObject({
      name: `__Secure-${cookieName}`,
      httpOnly: true,
      secure: true,
      sameSite: "lax",
      path: "/",
    });
    const headers = new Headers({ cookie: `${made.name}=${made.value}`, "x-forwarded-proto": "https" });
    expect(await findCallerByCookie(headers)).toMatchObject({
      credential: { kind: "session", id: sid, rowless: false },
    });
    expect(await sessionCookie(new Headers(), null)).toMatchObject({
      name: cookieName,
      value: "",
      maxAge: 0,
      secure: false,
    });
  });

  it("signed with the previous secret is accepted, so that the secret can be rotated", async () => {
    expect(await requireUser(bearer(await session({}, { secret: previous })))).toMatchObject({ id: userId });
  });

  it("I24: ends when its row is deleted or expires", async () => {
    const [ended, expired] = [uuidv7(), uuidv7()];
    for (const id of [ended, expired]) await insertSession(pool().sql, { id, userId, userAgent: "" });
    const values = [await session({ sid: ended }), await session({ sid: expired })];
    for (const value of values) expect(await requireUser(cookie(value))).toMatchObject({ id: userId });
    await endSession(userId, ended);
    await pool().sql`update sessions set expires_at = now() where id = ${expired}`;
    for (const value of values) await expect(requireUser(cookie(value))).rejects.toMatchObject({ status: 401 });
  });

  it("records when it was last seen, once in five minutes", async () => {
    const seen = async () =>
      (await pool().sql`select last_seen_at::text as at, expires_at::text as until from sessions where id = ${sid}`)[0];
    const before = await seen();
    await requireUser(cookie(await session({})));
    expect(await seen()).toEqual(before);
    await pool().sql`
      update sessions set last_seen_at = now() - interval '6 minutes', expires_at = now() + interval '1 day' where id = ${sid}`;
    const stale = await seen();
    await requireUser(cookie(await session({})));
    const after = await seen();
    expect([(after?.at > stale?.at) as boolean, (after?.until > stale?.until) as boolean]).toEqual([true, true]);
  });

  it("from before sessions were stored is valid until its row ends", async () => {
    const value = await session({ sid: undefined });
    const caller = await requireCaller(bearer(value));
    expect(caller).toMatchObject({ user: { id: userId }, credential: { kind: "session", rowless: true } });
    await insertSession(pool().sql, { id: caller.credential.id, userId, userAgent: "" });
    expect(await requireUser(bearer(value))).toMatchObject({ id: userId });
    await endSession(userId, caller.credential.id);
    await expect(requireUser(bearer(value))).rejects.toMatchObject({ status: 401 });
  });

  it.each<[string, () => Promise<string>]>([
    ["made with another secret", () => session({}, { secret: "another-secret-another-secret-another" })],
    ["made for another cookie", () => session({}, { salt: "x" })],
    ["expired", () => session({}, { maxAge: -60 })],
    ["of an unknown user", () => session({ sub: uuidv7() })],
    ["without a user", () => session({ sub: undefined })],
    ["without a version", () => session({ version: undefined })],
    ["without its row", () => session({ sid: uuidv7() })],
    ["with an invalid session id", () => session({ sid: "1" })],
    ["of another user's row", () => ofSomebodyElse()],
    ["truncated", async () => (await session({})).slice(0, -4)],
  ])("%s is rejected", async (_, make) => {
    const value = await make();
    await expect(requireUser(bearer(value))).rejects.toMatchObject({ status: 401 });
    await expect(requireUser(cookie(value))).rejects.toMatchObject({ status: 401 });
  });

  it("ends when all sessions of the user end", async () => {
    const id = uuidv7();
    await insertUser({ id, email: null, name: null, passwordHash: null });
    const own = uuidv7();
    await insertSession(pool().sql, { id: own, userId: id, userAgent: "" });
    const value = await session({ sub: id, sid: own });
    expect(await requireUser(bearer(value))).toMatchObject({ id, guest: true });
    await pool().sql`update users set session_version = session_version + 1 where id = ${id}`;
    await expect(requireUser(bearer(value))).rejects.toMatchObject({ status: 401 });
  });

  it("in a cookie is rejected cross-site; a bearer is accepted from any origin", async () => {
    const value = await session({});
    const foreign = { method: "POST", headers: { origin: "https://evil.example", "content-type": "application/json" } };
    await expect(requireUser(cookie(value, foreign))).rejects.toMatchObject({ status: 403 });
    const request = new Request(url, { ...foreign, headers: { ...foreign.headers, authorization: `Bearer ${value}` } });
    expect(await requireUser(request)).toMatchObject({ id: userId });
  });
});

it.each([
  "",
  "Bearer",
  "Bearer ",
  "Basic YTpi",
  "Bearer rvl_unknown",
  "Bearer two words",
  "Bearer x.y.z",
  `Bearer ${"x".repeat(9_000)}`,
])("rejects %j, whatever the cookie", async (authorization) => {
  const request = cookie(await session({}), { headers: { authorization } });
  await expect(requireUser(request)).rejects.toMatchObject({ status: 401, code: "unauthorized" });
});

it("rejects a request without credentials", async () => {
  await expect(requireUser(new Request(url))).rejects.toMatchObject({ status: 401 });
});
