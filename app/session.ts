// Signing in and out by next-auth, for pages and the browser's session cookie. Routes ask lib/auth who is calling.
import { headers } from "next/headers";
import NextAuth, { CredentialsSignin } from "next-auth";
import Credentials from "next-auth/providers/credentials";
import { cache } from "react";
import { findUserByCookie, openSession, renewSession, type User } from "@/lib/auth";
import { createGuest, credentials, findByPassword } from "@/lib/chats/users";
import { clientAddress } from "@/lib/client-address";
import { AppError } from "@/lib/errors";
import { describeError, logger } from "@/lib/logger";

/** A guest's session is the only way to its chats, so it lasts a year; every visit renews it. */
const maxAgeSeconds = 365 * 86_400;

/** Why a sign-in was refused, as the `code` that next-auth hands to the page. */
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

export const { handlers, auth, signIn, signOut } = NextAuth({
  trustHost: true,
  session: { strategy: "jwt", maxAge: maxAgeSeconds },
  pages: { signIn: "/sign-in" },
  providers: [
    Credentials({
      id: "guest",
      name: "Guest",
      credentials: {},
      authorize: (_, request) => refusing(() => createGuest(clientAddress(request.headers))),
    }),
    Credentials({
      id: "password",
      name: "Email and password",
      credentials: { email: {}, password: {} },
      authorize: (input, request) =>
        refusing(async () => {
          const parsed = credentials.safeParse(input);
          if (!parsed.success) return null;
          return findByPassword(parsed.data.email, parsed.data.password, clientAddress(request.headers));
        }),
    }),
  ],
  callbacks: {
    // Null ends the session.
    jwt: ({ token, user }) => (user?.id ? openSession(user.id) : renewSession(token)),
  },
  logger: {
    // A wrong password is an answer, not an error.
    error: (error) => {
      if (!(error instanceof CredentialsSignin)) logger.error({ err: describeError(error) }, "next-auth failed");
    },
    warn: (code) => logger.debug({ code }, "next-auth warning"),
    debug: () => {},
  },
});

/** The signed-in user for pages; null when there is none. Looked up once per request. */
export const currentUser = cache(async (): Promise<User | null> => findUserByCookie((await headers()).get("cookie")));
