// The verbs on sessions: open, renew, list, end. Each is a row, which next-auth's JWT in the cookie names by its id;
// who holds the cookie is lib/auth.ts. Setting and clearing the cookie is a door's business.
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
  /** What the browser called itself when it signed in; may be empty. */
  userAgent: string;
  /** The one that asks. */
  current: boolean;
};

const uuid = z.uuid();

/** Enough to tell browsers apart; real ones have some 120 characters. */
const maxUserAgentLength = 200;

/** Safe to store, to log and to show: one line of printable characters. */
export function cleanUserAgent(headers: Headers): string {
  const text = headers.get("user-agent") ?? "";
  return text
    .replace(/[\p{C}\p{Zl}\p{Zp}]+/gu, " ")
    .trim()
    .slice(0, maxUserAgentLength);
}

/** A new session, as the claims of its JWT; null when there is no such user. */
export async function openSession(userId: string, headers: Headers): Promise<SessionClaims | null> {
  return insert(uuidv7(), userId, headers);
}

/** The claims of the same session while it is good, else null. One from before sessions had rows gets its row here. */
export async function renewSession(claims: SessionClaims, headers: Headers): Promise<SessionClaims | null> {
  const key = sessionKey(claims);
  if (!key || !(await rows.findSessionUser(key))) return null;
  return key.rowless ? insert(key.id, key.userId, headers) : sessionClaims(key);
}

/** Signs out. A session from before sessions had rows gets one that says so. */
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

/** Throws not_found when the user has no such session, forbidden for a token. */
export async function endSession(caller: Caller, id: string): Promise<void> {
  requireSession(caller);
  const ended = uuid.safeParse(id).success && (await rows.endSession(caller.user.id, id));
  if (!ended) throw new AppError("not_found", "There is no such session.");
}

/** Signs out everywhere. Tokens stay: each is made, listed and revoked by itself. Throws forbidden for a token. */
export async function endAllSessions(caller: Caller): Promise<void> {
  requireSession(caller);
  await pool().sql.begin((sql) => rows.endAllSessions(sql, caller.user.id));
}

/** A token acts for its user, but decides nothing about who that is. */
export function requireSession({ credential }: Caller): void {
  if (credential.kind !== "session")
    throw new AppError("forbidden", "An access token cannot do this. Sign in in a browser and do it there.");
}
