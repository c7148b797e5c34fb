// Operations on users and tokens: guest, sign-up, sign-in, token. Passwords are hashed with
// argon2id.
import { v7 as uuidv7 } from "uuid";
import { z } from "zod";
import { uniqueViolation } from "@/db/client";
import { hasAccounts, insertAccount, SignUpRefused } from "@/db/sign-up";
import {
  deleteToken,
  findUserByEmail,
  insertToken,
  insertUser,
  listTokens as listRows,
  type TokenRow,
} from "@/db/users";
import { type Credential, generateToken, hashToken, toUser, type User } from "@/lib/auth";
import { env } from "@/lib/env";
import { AppError } from "@/lib/errors";
import { refund, spend } from "@/lib/limits";
import { createdCursor, cutPage, type PageQuery, pageSize, parseListCursor } from "@/lib/list-cursor";
import { hasPaidModel } from "@/lib/models/catalogue";
import { requireUncommonPassword } from "./password-rules";
import { hashPassword, requirePasswordQueue, verifyPassword } from "./passwords";
import { isSetupToken } from "./setup-link";

/** The upper bound limits what argon2 hashes for anonymous callers. */
export const newPassword = z.string().min(8, "must have at least 8 characters").max(200);
export const credentials = z.object({
  email: z
    .email()
    .max(254)
    .transform((email) => email.toLowerCase()),
  password: newPassword,
});
export const signUpInput = credentials
  .extend({
    name: z.string().trim().min(1).max(100).optional(),
    invite: z.string().max(200).optional().describe("Token of an invitation, or of the first account's link."),
  })
  .meta({ id: "SignUp" });

/** Unless GUESTS is set, anonymous visitors must not spend the operator's key. */
export function allowsGuests(): boolean {
  const { GUESTS } = env();
  return GUESTS ? GUESTS === "on" : !hasPaidModel();
}

/** Creates a user without email and password. Throws forbidden if guests are disabled. */
export async function createGuest(address: string): Promise<User> {
  if (!allowsGuests()) throw new AppError("forbidden", "This server has no guest accounts. Sign up instead.");
  await spend(["account"], { address });
  const row = await insertUser({ id: uuidv7(), email: null, name: null, passwordHash: null });
  if (!row) throw new Error("a guest's id was taken");
  return toUser(row);
}

/**
 * Creates a user, or upgrades a guest: its chats stay, but its sessions and tokens end, since
 * others may know them. The first account of the server becomes its administrator; unless `local`
 * (the request came from the server's machine), it takes the setup link's token. Throws conflict if
 * the email is taken, forbidden without the invitation SIGN_UP requires. An address in ADMIN_EMAILS
 * always needs one: addresses are not verified, so the first to claim it would become an
 * administrator.
 */
export async function signUp(
  { email, password, name, invite }: z.output<typeof signUpInput>,
  { guestId, address, local }: { guestId?: string; address: string; local: boolean },
): Promise<User> {
  requirePasswordQueue();
  await spend(["account"], { address });
  const mode = await signUpMode(local);
  const setUp = isSetupToken(invite);
  // Checked before the costly password hash.
  if (mode === "off" || (mode === "invite" && invite === undefined) || (mode === "setup" && !setUp)) throw closed(mode);
  await requireUncommonPassword(email, password);
  const account = { id: uuidv7(), email, name: name ?? null, passwordHash: await hashPassword(password) };
  if (await findUserByEmail(email)) throw emailTakenError();
  const rule = {
    invitation: invite && !setUp ? hashToken(invite) : null,
    open: env().SIGN_UP === "open" && !env().ADMIN_EMAILS.includes(email) && !setUp,
    first: local || setUp,
  };
  try {
    return toUser(await insertAccount(account, rule, guestId));
  } catch (error) {
    // Concurrent sign-ups for one address: the index decides.
    if (uniqueViolation(error)) throw emailTakenError();
    if (!(error instanceof SignUpRefused)) throw error;
    if (error.reason === "setup") throw closed("setup");
    throw error.reason === "closed" && !setUp ? closed("invite") : invalidInvitation();
  }
}

/**
 * Who may create an account now. The first account is always allowed, whatever SIGN_UP says:
 * `first` on the server's machine, `setup` with the setup link.
 */
export async function signUpMode(local: boolean): Promise<"first" | "setup" | "open" | "invite" | "off"> {
  if (await hasAccounts()) return env().SIGN_UP;
  return local ? "first" : "setup";
}

const closedSentences = {
  off: "This server does not accept new accounts. Sign in with an existing one.",
  invite: "An account here needs an invitation. Ask the administrator of this server for a link.",
  setup:
    "The first account administers this server and needs the setup link. No account was created; open the link that the " +
    "server printed when it started.",
};

function closed(mode: keyof typeof closedSentences): AppError {
  return new AppError("forbidden", closedSentences[mode]);
}

function invalidInvitation(): AppError {
  return new AppError(
    "forbidden",
    "This invitation was used, has expired, or is for another email address. No account was created; ask for a new link.",
  );
}

/**
 * The user with these credentials; null if they are wrong, in the same time whether or not the
 * email exists.
 */
export async function findByPassword(email: string, password: string, address: string): Promise<User | null> {
  requirePasswordQueue();
  const who = { address, email };
  await spend(["signIn"], who);
  const row = await findUserByEmail(email);
  const right = await verifyPassword(row?.passwordHash ?? null, password);
  if (!row || !right) return null;
  // Only failed guesses count against the email; a correct password is limited by address only.
  refund(["signIn"], who, ["addressAndEmail", "email"]);
  return toUser(row);
}

export type Token = {
  id: string;
  name: string;
  createdAt: string;
  lastUsedAt: string | null;
  expiresAt: string | null;
};

export const tokenInput = z.object({
  name: z.string().trim().min(1).max(100).default("API token"),
  expiresAt: z.iso
    .datetime({ offset: true })
    .refine((time) => Date.parse(time) > Date.now(), "must lie in the future")
    .nullable()
    .optional(),
});

/**
 * With the session cookie or a token: for that user. With credentials or as a new guest: for
 * callers with neither.
 */
export const tokenRequest = tokenInput
  .extend({
    guest: z.literal(true).optional().describe("Creates a guest account and a token for it."),
    email: z.string().optional().describe("With `password`: the token is for this account."),
    password: z.string().optional(),
  })
  .meta({ id: "AccessTokenRequest" });

/**
 * Returns the token, which is never shown again. A token made with a token (`by`) expires no later
 * than that one, and is revoked with it.
 */
export async function createToken(
  userId: string,
  { name, expiresAt }: z.output<typeof tokenInput>,
  by?: Credential,
): Promise<{ id: string; token: string; userId: string; expiresAt: string | null }> {
  const token = generateToken();
  const row = await insertToken(
    { id: uuidv7(), userId, name, hash: hashToken(token), expiresAt: expiresAt ? new Date(expiresAt) : null },
    { parentId: by?.kind === "token" ? by.id : null, maxTokens: env().MAX_ACCESS_TOKENS },
  );
  if (!row) throw new AppError("unauthorized", "The token was revoked or has expired. No token was created.");
  return { id: row.id, token, userId, expiresAt: row.expiresAt?.toISOString() ?? null };
}

const uuid = z.uuid();

/** Newest first. */
export async function listTokens(
  userId: string,
  { cursor, limit = pageSize }: PageQuery = {},
): Promise<{ tokens: Token[]; nextCursor: string | null }> {
  const rows = await listRows(userId, { after: parseListCursor(createdCursor, cursor), limit: limit + 1 });
  const { page, nextCursor } = cutPage(rows, limit);
  return { tokens: page.map(describeToken), nextCursor };
}

export async function revokeToken(userId: string, id: string): Promise<void> {
  if (!uuid.safeParse(id).success || !(await deleteToken(userId, id)))
    throw new AppError("not_found", "There is no such token.");
}

function describeToken(row: TokenRow): Token {
  return {
    id: row.id,
    name: row.name,
    createdAt: row.createdAt.toISOString(),
    lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
    expiresAt: row.expiresAt?.toISOString() ?? null,
  };
}

function emailTakenError(): AppError {
  return new AppError("conflict", "email: this address already has an account. Sign in instead.");
}
