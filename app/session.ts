// The browser's session cookie: set and cleared here for pages and routes, by next-auth for its own
// endpoints. lib/auth.ts verifies callers.
import { cookies, headers } from "next/headers";
import NextAuth, { CredentialsSignin, type NextAuthConfig } from "next-auth";
import Credentials from "next-auth/providers/credentials";
import { cache } from "react";
import {
  authSecrets,
  findCallerByCookie,
  isHttps,
  type SessionClaims,
  sessionCookie,
  sessionSeconds,
  type User,
} from "@/lib/auth";
import { clientAddress } from "@/lib/client-address";
import { AppError } from "@/lib/errors";
import { describeError, logger } from "@/lib/logger";
import { endOwnSession, openSession, renewSession } from "@/lib/services/users/sessions";
import { createGuest, credentials, findByPassword } from "@/lib/services/users/users";

/** The reason for a refused sign-in, passed to the page as next-auth's `code`. */
class Refused extends CredentialsSignin {
  constructor(code: string) {
    super();
    this.code = code;
  }
}

async function refusing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (AppError.is(error)) throw new Refused(error.code);
    throw error;
  }
}

// next-auth logs errors from its callbacks and clears the cookie. Without this map, a request
// during a database outage would cost guests all their chats.
const failures = new WeakMap<object, unknown>();

/**
 * The error that kept next-auth from reading or ending a session during this request; discard its
 * response then.
 */
export function sessionFailure(request: Request): unknown {
  return failures.get(request);
}

async function configure(request: object | undefined): Promise<NextAuthConfig> {
  const requestHeaders = await headers();
  const noting = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      if (request) failures.set(request, error);
      throw error;
    }
  };
  return {
    trustHost: true,
    secret: authSecrets(),
    useSecureCookies: isHttps(requestHeaders),
    session: { strategy: "jwt", maxAge: sessionSeconds },
    pages: { signIn: "/sign-in" },
    providers: [
      Credentials({
        id: "guest",
        name: "Guest",
        credentials: {},
        authorize: () => refusing(() => createGuest(clientAddress(requestHeaders))),
      }),
      Credentials({
        id: "password",
        name: "Email and password",
        credentials: { email: {}, password: {} },
        authorize: (input) =>
          refusing(async () => {
            const parsed = credentials.safeParse(input);
            if (!parsed.success) return null;
            return findByPassword(parsed.data.email, parsed.data.password, clientAddress(requestHeaders));
          }),
      }),
    ],
    callbacks: {
      // Null ends the session.
      jwt: ({ token, user }) =>
        noting(user?.id ? openInPlace(user.id, requestHeaders) : renewSession(token, requestHeaders)),
    },
    events: {
      signOut: () => noting(endSessionOf(requestHeaders)),
    },
    logger: {
      // A wrong password is an answer, not an error.
      error: (error) => {
        if (!(error instanceof CredentialsSignin)) logger.error({ err: describeError(error) }, "next-auth failed");
      },
      warn: (code) => logger.debug({ code }, "next-auth warning"),
      debug: () => {},
    },
  };
}

async function endSessionOf(requestHeaders: Headers): Promise<void> {
  const caller = await findCallerByCookie(requestHeaders);
  if (caller) await endOwnSession(caller);
}

export const { handlers } = NextAuth(configure);

/** Signs this browser in and ends its previous session. */
export async function signIn(userId: string): Promise<void> {
  await setSession(await openInPlace(userId, await headers()));
}

/**
 * Ends this browser's session. Throws when that could not be stored; the cookie then stays for
 * another try.
 */
export async function signOut(): Promise<void> {
  await endSessionOf(await headers());
  await setSession(null);
}

/** Null clears the cookie. */
export async function setSession(claims: SessionClaims | null): Promise<void> {
  (await cookies()).set(await sessionCookie(await headers(), claims));
}

async function openInPlace(userId: string, requestHeaders: Headers): Promise<SessionClaims | null> {
  const claims = await openSession(userId, requestHeaders);
  await endSessionOf(requestHeaders);
  return claims;
}

/** The signed-in user of a page; null without one. Looked up once per request. */
export const currentUser = cache(async (): Promise<User | null> => (await currentCaller())?.user ?? null);
export const currentCaller = cache(async () => findCallerByCookie(await headers()));
