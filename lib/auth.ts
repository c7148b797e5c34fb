// Who is calling: the session cookie of next-auth, a personal access token, or next-auth's JWT as a bearer
// (docs/protocol.md §5). Signing in and out is a door's business: app/session.ts.
import { createHash, randomBytes } from "node:crypto";
import { decode } from "next-auth/jwt";
import { type Caller, findUser, findUserByToken } from "@/db/users";
import { clientAddress } from "./client-address";
import { AppError } from "./errors";
import { requireSameOrigin } from "./http";
import { type Cost, requireLeft } from "./limits";
import { admit } from "./route-costs";

export type User = {
  id: string;
  /** Null for a guest. */
  email: string | null;
  name: string | null;
  guest: boolean;
};

/** next-auth's cookie, without and with TLS. Its name salts the encryption of the JWT in it. */
const cookieNames = ["__Secure-authjs.session-token", "authjs.session-token"];
const tokenPrefix = "rvl_";

export function toUser({ id, email, name }: Pick<Caller, "id" | "email" | "name">): User {
  return { id, email, name, guest: email === null };
}

/** A new personal access token: 256 random bits, with a prefix by which secret scanners know it. */
export function newToken(): string {
  return tokenPrefix + randomBytes(32).toString("base64url");
}

/** What is stored of a token. A fast hash will do: there is nothing to guess in 256 random bits. */
export function hashToken(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

/**
 * The caller, whose request is counted by its route's cost (lib/route-costs.ts) or this one. Throws unauthorized; forbidden
 * when the cookie comes along with another site's request; rate_limited.
 */
export async function requireUser(request: Request, cost?: Cost): Promise<User> {
  requireLeft(["request"], { address: clientAddress(request.headers) });
  const user = await findCaller(request);
  await admit(request, user ?? undefined, cost);
  if (!user) throw new AppError("unauthorized", "Sign in, or send a valid token as `Authorization: Bearer …`.");
  return user;
}

async function findCaller(request: Request): Promise<User | null> {
  const authorization = request.headers.get("authorization");
  if (authorization !== null) {
    const bearer = /^Bearer +([\x21-\x7e]{1,8192})$/i.exec(authorization)?.[1];
    if (!bearer) return null;
    const row = bearer.startsWith(tokenPrefix)
      ? await findUserByToken(hashToken(bearer))
      : await findBySession(bearer, cookieNames);
    return row && toUser(row);
  }
  const user = await findUserByCookie(request.headers.get("cookie"));
  if (user) requireSameOrigin(request);
  return user;
}

/** The user of the session cookie in a `Cookie` header; null without a valid one. For pages; routes use `requireUser`. */
export async function findUserByCookie(header: string | null): Promise<User | null> {
  for (const name of cookieNames) {
    const value = header?.split("; ").find((cookie) => cookie.startsWith(`${name}=`));
    const row = value && (await findBySession(value.slice(name.length + 1), [name]));
    if (row) return toUser(row);
  }
  return null;
}

async function findBySession(jwt: string, salts: string[]): Promise<Caller | null> {
  for (const salt of salts) {
    const claims = await decodeSession(jwt, salt);
    if (claims) return findSessionUser(claims);
  }
  return null;
}

async function decodeSession(jwt: string, salt: string): Promise<SessionClaims | null> {
  const secret = process.env.AUTH_SECRET;
  if (!secret) throw new Error("AUTH_SECRET is not set. `npm start` makes one.");
  try {
    return await decode({ token: jwt, secret, salt });
  } catch {
    // Forged, expired or made with another secret or salt: no session, which is an answer and not a failure.
    return null;
  }
}

type SessionClaims = { sub?: string; version?: unknown };

/** What a new session of this user carries; null when there is no such user. */
export async function openSession(userId: string): Promise<SessionClaims | null> {
  const row = await findUser(userId);
  return row && { sub: row.id, version: row.sessionVersion };
}

/** The same claims while the session is good; null when its user is gone, or has ended all sessions since. */
export async function renewSession(claims: SessionClaims): Promise<SessionClaims | null> {
  const row = await findSessionUser(claims);
  return row && { sub: row.id, version: row.sessionVersion };
}

async function findSessionUser(claims: SessionClaims): Promise<Caller | null> {
  const row = claims.sub ? await findUser(claims.sub) : null;
  return row && row.sessionVersion === claims.version ? row : null;
}
