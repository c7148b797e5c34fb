"use server";
import { headers } from "next/headers";
import { redirect } from "next/navigation";
import { currentUser, signIn } from "@/app/session";
import { clientAddress } from "@/lib/client-address";
import { isDatabaseUnavailable } from "@/lib/database-unavailable";
import { AppError } from "@/lib/errors";
import { parseInput } from "@/lib/http";
import { isFromThisMachine } from "@/lib/services/users/setup-link";
import { createGuest, credentials, findByPassword, signUp, signUpInput } from "@/lib/services/users/users";

/** Null before the first try; then the error and the form's values. */
export type SignInState = { error: string; email: string; name: string } | null;

export async function continueAsGuest(): Promise<SignInState> {
  return attempt({}, async () => (await createGuest(clientAddress(await headers()))).id);
}

export async function signInWithPassword(_before: SignInState, form: FormData): Promise<SignInState> {
  const { email, password } = read(form);
  return attempt({ email }, async () => {
    const given = credentials.safeParse({ email, password });
    const user = given.success
      ? await findByPassword(given.data.email, given.data.password, clientAddress(await headers()))
      : null;
    if (!user) throw new AppError("unauthorized", "The email address or the password is wrong.");
    return user.id;
  });
}

export async function createAccount(_before: SignInState, form: FormData): Promise<SignInState> {
  const { email, password, name, invite } = read(form);
  return attempt({ email, name }, async () => {
    const guest = await currentUser();
    const asked = await headers();
    const user = await signUp(
      parseInput(signUpInput, { email, password, name: name || undefined, invite: invite || undefined }),
      {
        address: clientAddress(asked),
        local: isFromThisMachine(asked),
        ...(guest?.guest ? { guestId: guest.id } : {}),
      },
    );
    return user.id;
  });
}

function read(form: FormData): { email: string; password: string; name: string; invite: string } {
  const field = (name: string) => String(form.get(name) ?? "");
  return {
    email: field("email").trim(),
    password: field("password"),
    name: field("name").trim(),
    invite: field("invite"),
  };
}

/** Signs in as the resulting user and redirects to the start page; returns the error otherwise. */
async function attempt(
  { email = "", name = "" }: { email?: string; name?: string },
  userOf: () => Promise<string>,
): Promise<SignInState> {
  try {
    await signIn(await userOf());
  } catch (error) {
    if (AppError.is(error)) return { error: sentence(error.publicMessage), email, name };
    if (!isDatabaseUnavailable(error)) throw error;
    return { error: "The database cannot be reached. Try again in a moment.", email, name };
  }
  // No host: the browser stays on the origin it used.
  redirect("/");
}

/** API messages start with the field's name ("password: must have …"); the form shows it. */
function sentence(message: string): string {
  const [, field = "", rest = message] = /^(\w+): (.+)$/s.exec(message) ?? [];
  const words = rest.startsWith("must") ? `${field} ${rest}` : rest;
  return words.charAt(0).toUpperCase() + words.slice(1);
}
