// Identifies the caller: next-auth's session cookie, a personal access token, or next-auth's JWT as
// a bearer token (docs/protocol.md §5). Sign-in and sign-out are in app/session.ts.
import { hash, randomBytes } from "node:crypto";
import { decode, encode } from "next-auth/jwt";
import { findSessionUser, type SessionKey, sessionDays } from "@/db/sessions";
import { type CallerRow, findUserByToken } from "@/db/users";
import { clientAddress } from "./client-address";
import { env } from "./env";
import { AppError } from "./errors";
import { requireSameOrigin } from "./http";
import { type Cost, requireRemaining } from "./limits";
import { admit } from "./route-costs";

export type User = {
  id: string;
  /** Null for a guest. */
  email: string | null;
  name: string | null;
  guest: boolean;
  /** May invite people. */
  admin: boolean;
};

/** How a caller authenticated. */
export type Credential = ({ kind: "session" } & SessionKey) | { kind: "token"; id: string };

export type Caller = { user: User; credential: Credential };

const tokenPrefix = "rvl_";

export function toUser({ id, email, name, role }: CallerRow): User {
  const admin = email !== null && (role === "admin" || env().ADMIN_EMAILS.includes(email));
  return { id, email, name, guest: email === null, admin };
}

/** A new personal access token: 256 random bits, with a prefix that secret scanners recognise. */
export function generateToken(): string {
  return tokenPrefix + randomBytes(32).toString("base64url");
}

/** A new token for an invitation link. */
export function newInvitationToken(): string {
  return `rvi_${randomBytes(32).toString("base64url")}`;
}

/** The stored form of a token. A fast hash suffices: 256 random bits cannot be guessed. */
export function hashToken(token: string): string {
  return hash("sha256", token);
}

/**
 * The caller's user; counts the request by its route's cost (lib/route-costs.ts) or by `cost`.
 * Throws unauthorized; forbidden if another site's request carries the cookie; rate_limited.
 */
export async function requireUser(request: Request, cost?: Cost): Promise<User> {
  return (await requireCaller(request, cost)).user;
}

/** The caller, who must administer this server. Throws forbidden otherwise. */
export async function requireAdmin(request: Request): Promise<User> {
  const user = await requireUser(request);
  if (!user.admin) throw new AppError("forbidden", "Only an administrator of this server may do this.");
  return user;
}

/** As `requireUser`, but also returns the credential. */
export async function requireCaller(request: Request, cost?: Cost): Promise<Caller> {
  const known = callers.get(request);
  if (known) return known;
  requireRemaining(["request"], { address: clientAddress(request.headers) });
  const caller = await findCaller(request);
  await admit(request, caller?.user, cost);
  if (!caller) throw new AppError("unauthorized", "Sign in, or send a valid token as `Authorization: Bearer …`.");
  callers.set(request, caller);
  return caller;
}

/** A request that is checked twice is counted once. */
const callers = new WeakMap<Request, Caller>();

/** The credential of this request, after `requireCaller` or `requireUser` admitted it. */
export function credentialOf(request: Request): Credential {
  const caller = callers.get(request);
  if (!caller) throw new Error("nobody asked who is calling");
  return caller.credential;
}

async function findCaller(request: Request): Promise<Caller | null> {
  const authorization = request.headers.get("authorization");
  if (authorization !== null) {
    const bearer = /^Bearer +([\x21-\x7e]{1,8192})$/i.exec(authorization)?.[1];
    if (!bearer) return null;
    return bearer.startsWith(tokenPrefix) ? findByToken(bearer) : findByJwt(bearer, Object.values(cookieNames));
  }
  const caller = await findCallerByCookie(request.headers);
  if (caller) requireSameOrigin(request);
  return caller;
}

async function findByToken(token: string): Promise<Caller | null> {
  const row = await findUserByToken(hashToken(token));
  return row && { user: toUser(row), credential: { kind: "token", id: row.tokenId } };
}

/**
 * next-auth's cookie names, without and with TLS. The name salts the encryption of the JWT inside.
 */
const cookieNames = { http: "authjs.session-token", https: "__Secure-authjs.session-token" };

/** True if the browser uses TLS, to this server or to the proxy in front of it. */
export function isHttps(headers: Headers): boolean {
  return headers.get("x-forwarded-proto") === "https";
}

/**
 * The caller by session cookie only; null without a valid one. For pages; routes use
 * `requireCaller`. Over TLS only the prefixed name counts: any server that answers for this host
 * without TLS can set the other.
 */
export async function findCallerByCookie(headers: Headers): Promise<Caller | null> {
  const name = sessionCookieName(headers);
  const cookie = headers
    .get("cookie")
    ?.split("; ")
    .find((each) => each.startsWith(`${name}=`));
  return cookie ? findByJwt(cookie.slice(name.length + 1), [name]) : null;
}

function sessionCookieName(headers: Headers): string {
  return cookieNames[isHttps(headers) ? "https" : "http"];
}

async function findByJwt(jwt: string, salts: string[]): Promise<Caller | null> {
  for (const salt of salts) {
    const claims = await decodeSession(jwt, salt);
    if (claims) return findBySession(claims);
  }
  return null;
}

async function findBySession(claims: SessionClaims): Promise<Caller | null> {
  const key = sessionKey(claims);
  const row = key && (await findSessionUser(key));
  return row && { user: toUser(row), credential: { kind: "session", ...key } };
}

/** Claims of a session's JWT. `version` without `sid` dates from before sessions had rows. */
export type SessionClaims = { sub?: string; sid?: unknown; version?: unknown; jti?: string };

const uuid = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/;

/** The row these claims name; null if none. */
export function sessionKey({ sub, sid, version, jti }: SessionClaims): SessionKey | null {
  const id = sid ?? jti;
  if (!sub || typeof version !== "number" || typeof id !== "string" || !uuid.test(id)) return null;
  return { id, userId: sub, version, rowless: sid === undefined };
}

/**
 * `users.session_version` also serves servers of the previous version, which have no session rows.
 */
export function sessionClaims({ id, userId, version }: Omit<SessionKey, "rowless">): SessionClaims {
  return { sub: userId, sid: id, version };
}

/** The secret that signs new JWTs, then those still accepted. */
export function authSecrets(): string[] {
  const { AUTH_SECRET, AUTH_SECRET_PREVIOUS } = env();
  if (!AUTH_SECRET) throw new Error("AUTH_SECRET is not set. `npm start` generates one.");
  return AUTH_SECRET_PREVIOUS ? [AUTH_SECRET, AUTH_SECRET_PREVIOUS] : [AUTH_SECRET];
}

async function decodeSession(jwt: string, salt: string): Promise<SessionClaims | null> {
  const secret = authSecrets();
  try {
    return await decode({ token: jwt, secret, salt });
  } catch {
    // Forged, expired, or made with another secret or salt: no session, which is a result, not a
    // failure.
    return null;
  }
}

/** Lifetime of a session's JWT and cookie. */
export const sessionSeconds = sessionDays * 86_400;

/**
 * The session cookie for the client with these headers, as next-auth sets it. Null claims: the
 * cookie that ends the session.
 */
export async function sessionCookie(headers: Headers, claims: SessionClaims | null) {
  const name = sessionCookieName(headers);
  return {
    name,
    value: claims ? await encode({ token: claims, secret: authSecrets(), salt: name, maxAge: sessionSeconds }) : "",
    maxAge: claims ? sessionSeconds : 0,
    path: "/",
    httpOnly: true,
    sameSite: "lax",
    secure: isHttps(headers),
  } as const;
}
