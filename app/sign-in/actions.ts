"use server";
import { headers } from "next/headers";
import { AuthError, CredentialsSignin } from "next-auth";
import { currentUser, signIn } from "@/app/session";
import { signUp, signUpInput } from "@/lib/chats/users";
import { clientAddress } from "@/lib/client-address";
import { AppError, type ErrorCode } from "@/lib/errors";
import { parseInput } from "@/lib/http";

/** Null before the first try; otherwise what went wrong, and what stays in the form. */
export type SignInState = { error: string; email: string; name: string } | null;

const refusals: Partial<Record<ErrorCode, string>> = {
  rate_limited: "Too many attempts. Wait a few minutes and try again.",
  forbidden: "This server has no guest accounts. Create an account instead.",
  unavailable: "The database cannot be reached. Try again in a moment.",
};

export async function continueAsGuest(): Promise<SignInState> {
  return attempt({}, () => signIn("guest", { redirectTo: "/" }));
}

export async function signInWithPassword(_before: SignInState, form: FormData): Promise<SignInState> {
  const { email, password } = read(form);
  return attempt({ email }, () => signIn("password", { email, password, redirectTo: "/" }));
}

export async function createAccount(_before: SignInState, form: FormData): Promise<SignInState> {
  const { email, password, name } = read(form);
  return attempt({ email, name }, async () => {
    const guest = await currentUser();
    await signUp(parseInput(signUpInput, { email, password, name: name || undefined }), {
      address: clientAddress(await headers()),
      ...(guest?.guest ? { guestId: guest.id } : {}),
    });
    await signIn("password", { email, password, redirectTo: "/" });
  });
}

function read(form: FormData): { email: string; password: string; name: string } {
  const field = (name: string) => String(form.get(name) ?? "");
  return { email: field("email").trim(), password: field("password"), name: field("name").trim() };
}

/** A success leaves by a redirect, which is thrown: everything that is not a refusal passes through. */
async function attempt(
  { email = "", name = "" }: { email?: string; name?: string },
  action: () => Promise<unknown>,
): Promise<SignInState> {
  try {
    await action();
    return null;
  } catch (error) {
    const words = refusalOf(error);
    if (!words) throw error;
    return { error: words, email, name };
  }
}

function refusalOf(error: unknown): string | null {
  if (AppError.is(error)) return refusals[error.code] ?? sentence(error.publicMessage);
  if (error instanceof CredentialsSignin)
    return refusals[error.code as ErrorCode] ?? "The email or the password is not right.";
  if (error instanceof AuthError && error.cause?.err) return refusalOf(error.cause.err);
  return null;
}

/** The API names the field first ("password: must have …"); a form shows where it is. */
function sentence(message: string): string {
  const [, field = "", rest = message] = /^(\w+): (.+)$/s.exec(message) ?? [];
  const words = rest.startsWith("must") ? `${field} ${rest}` : rest;
  return words.charAt(0).toUpperCase() + words.slice(1);
}
