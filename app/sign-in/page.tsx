import type { Metadata } from "next";
import { headers } from "next/headers";
import { redirect } from "next/navigation";
import { currentUser } from "@/app/session";
import { Mark, Wordmark } from "@/components/ui/mark";
import { env } from "@/lib/env";
import { isFromThisMachine } from "@/lib/services/users/setup-link";
import { allowsGuests, signUpMode } from "@/lib/services/users/users";
import { continueAsGuest, createAccount, signInWithPassword } from "./actions";
import { SignInForms } from "./sign-in-forms";

export const metadata: Metadata = { title: "Sign in" };

type SignInPageProps = { searchParams: Promise<{ new?: string; invite?: string | string[] }> };

export default async function SignInPage({ searchParams }: SignInPageProps) {
  const { new: wanted, invite } = await searchParams;
  const invitation = typeof invite === "string" ? invite : null;
  const wantsAccount = wanted !== undefined || invitation !== null;
  const user = await currentUser();
  // A guest may upgrade and keep everything; an account holder has nothing to do here.
  if (user && !(user.guest && wantsAccount)) redirect("/");
  return (
    <main className="grid min-h-dvh lg:grid-cols-[1fr_minmax(30rem,42%)]">
      <section className="relative hidden overflow-hidden border-r border-line bg-bank lg:flex lg:flex-col lg:justify-between lg:p-12">
        <Wordmark />
        <Mark className="absolute -right-24 -bottom-32 size-[44rem] text-water opacity-[0.07]" />
        <div className="relative max-w-md">
          <p className="text-[2rem] leading-[1.18] font-semibold tracking-[-0.032em] text-balance">
            An AI chat whose answers are never lost.
          </p>
          <p className="mt-4 text-[0.9688rem] leading-relaxed text-pretty text-ink-2">
            Each word is stored on this server before it reaches you. A closed tab, a lost connection or a restarted
            server costs you nothing: the answer continues where it was.
          </p>
        </div>
      </section>
      <section className="flex flex-col justify-center px-6 py-10 sm:px-12">
        <div className="mx-auto w-full max-w-sm">
          <div className="mb-8 lg:hidden">
            <Wordmark />
            <p className="mt-3 text-sm text-pretty text-ink-2">
              An AI chat on your own server whose answers are never lost.
            </p>
          </div>
          <SignInForms
            upgrade={user !== null}
            signUpFirst={wantsAccount}
            signUp={await signUpMode(isFromThisMachine(await headers()))}
            invitation={invitation}
            guestAction={allowsGuests() && !user ? continueAsGuest : null}
            guestDays={env().GUEST_DAYS}
            signInAction={signInWithPassword}
            signUpAction={createAccount}
          />
        </div>
      </section>
    </main>
  );
}
