// Operations on sessions: open, renew, list, end. Each session is a row whose id is in next-auth's
// JWT cookie; lib/auth.ts identifies the caller, and routes set and clear the cookie.
import { v7 as uuidv7 } from "uuid";
import { z } from "zod";
import { pool } from "@/db/client";
import * as rows from "@/db/sessions";
import { type Caller, type SessionClaims, sessionClaims, sessionKey } from "@/lib/auth";
import { AppError } from "@/lib/errors";

export type Session = {
  id: string;
  createdAt: string;
  lastSeenAt: string;
  expiresAt: string;
  /** User agent at sign-in; may be empty. */
  userAgent: string;
  /** The session making this request. */
  current: boolean;
};

const uuid = z.uuid();

/** Enough to tell browsers apart; real ones have about 120 characters. */
const maxUserAgentLength = 200;

/** One line of printable characters: safe to store, log and show. */
export function cleanUserAgent(headers: Headers): string {
  const text = headers.get("user-agent") ?? "";
  return text
    .replace(/[\p{C}\p{Zl}\p{Zp}]+/gu, " ")
    .trim()
    .slice(0, maxUserAgentLength);
}

/** Opens a session and returns its JWT claims; null if there is no such user. */
export async function openSession(userId: string, headers: Headers): Promise<SessionClaims | null> {
  return insert(uuidv7(), userId, headers);
}

/**
 * The session's claims while it is valid, else null. A session from before sessions had rows gets
 * its row here.
 */
export async function renewSession(claims: SessionClaims, headers: Headers): Promise<SessionClaims | null> {
  const key = sessionKey(claims);
  if (!key || !(await rows.findSessionUser(key))) return null;
  return key.rowless ? insert(key.id, key.userId, headers) : sessionClaims(key);
}

/** Signs out. A session from before sessions had rows gets a row that marks it ended. */
export async function endOwnSession({ credential }: Caller): Promise<void> {
  if (credential.kind !== "session") return;
  const { id, userId, rowless } = credential;
  if (rowless) await rows.insertSession(pool().sql, { id, userId, userAgent: "" });
  await rows.endSession(userId, id);
}

async function insert(id: string, userId: string, headers: Headers): Promise<SessionClaims | null> {
  const made = await rows.insertSession(pool().sql, { id, userId, userAgent: cleanUserAgent(headers) });
  return made && sessionClaims({ id, userId, version: made.version });
}

export async function listSessions({ user, credential }: Caller): Promise<Session[]> {
  return (await rows.listSessions(user.id)).map(({ id, createdAt, lastSeenAt, expiresAt, userAgent }) => ({
    id,
    createdAt: createdAt.toISOString(),
    lastSeenAt: lastSeenAt.toISOString(),
    expiresAt: expiresAt.toISOString(),
    userAgent,
    current: credential.kind === "session" && credential.id === id,
  }));
}

/** Throws not_found if the user has no such session, forbidden for a token. */
export async function endSession(caller: Caller, id: string): Promise<void> {
  requireSession(caller);
  const ended = uuid.safeParse(id).success && (await rows.endSession(caller.user.id, id));
  if (!ended) throw new AppError("not_found", "There is no such session.");
}

/** Signs out everywhere. Tokens stay: they are managed separately. Throws forbidden for a token. */
export async function endAllSessions(caller: Caller): Promise<void> {
  requireSession(caller);
  await pool().sql.begin((sql) => rows.endAllSessions(sql, caller.user.id));
}

/** A token acts for its user, but must not change sign-in credentials. */
export function requireSession({ credential }: Caller): void {
  if (credential.kind !== "session")
    throw new AppError("forbidden", "An access token cannot do this. Sign in in a browser and do it there.");
}
