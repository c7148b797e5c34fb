"use client";
import { ArrowLeft } from "lucide-react";
import Link from "next/link";
import { useState } from "react";
import { api } from "@/components/api";
import { CopyButton } from "@/components/ui/copy-button";
import { ThemeToggle } from "@/components/ui/theme-toggle";
import type { BrowserSession, Invitation, TokenPage } from "@/packages/client/src/api";
import { Access } from "./access";
import { Invitations } from "./invitations";
import { Password } from "./password";
import { Section } from "./section";
import { Sessions } from "./sessions";
import { YourData } from "./your-data";

type SettingsProps = {
  user: { id: string; name: string | null; email: string | null; guest: boolean };
  tokens: TokenPage;
  sessions: BrowserSession[];
  /** Null for non-administrators. */
  invitations: Invitation[] | null;
  /** Days of absence after which a guest is deleted. */
  guestDays: number;
  /** The server's origin, without a trailing slash. */
  address: string;
};

export function Settings({ user, tokens, sessions, invitations, guestDays, address }: SettingsProps) {
  // A password change ends what these lists showed, so they reload.
  const [left, setLeft] = useState({ tokens, sessions, round: 0 });
  const begin = async () => {
    const now = { tokens: await api.listTokens(), sessions: await api.listSessions() };
    setLeft(({ round }) => ({ ...now, round: round + 1 }));
  };
  return (
    <>
      <header className="sticky top-0 z-10 border-b border-line bg-paper">
        <div className="mx-auto flex h-14 max-w-2xl items-center gap-1 px-3 sm:px-4">
          <Link
            href="/"
            className="inline-flex h-9 items-center gap-2 rounded-lg px-2.5 text-sm text-ink-2 transition-colors hover:bg-hover hover:text-ink"
          >
            <ArrowLeft aria-hidden="true" className="size-4" />
            Chats
          </Link>
          <span className="flex-1" />
          <ThemeToggle />
        </div>
      </header>
      <main className="mx-auto max-w-2xl px-5.5 pt-8 pb-20 sm:px-6.5">
        <h1 className="text-xl font-semibold tracking-[-0.02em]">Settings</h1>
        <Section title="Account">
          <Account {...user} guestDays={guestDays} />
        </Section>
        {user.email !== null && <Password email={user.email} onChanged={begin} />}
        <Sessions key={`sessions ${left.round}`} first={left.sessions} guest={user.guest} />
        <Access key={`tokens ${left.round}`} first={left.tokens} userId={user.id} address={address} />
        {invitations && <Invitations first={invitations} address={address} />}
        <YourData guest={user.guest} />
      </main>
    </>
  );
}

function Account({ id, name, email, guest, guestDays }: SettingsProps["user"] & Pick<SettingsProps, "guestDays">) {
  const rows: [term: string, detail: string][] = guest
    ? [["Signed in as", "Guest"]]
    : [...(name ? [["Name", name] as [string, string]] : []), ["Email", email ?? ""]];
  return (
    <>
      <dl className="divide-y divide-line rounded-xl border border-line bg-raised px-4 text-sm">
        {rows.map(([term, detail]) => (
          <div key={term} className="flex min-h-11 items-center gap-4 py-2">
            <dt className="w-24 shrink-0 text-ink-3">{term}</dt>
            <dd className="min-w-0 truncate">{detail}</dd>
          </div>
        ))}
        <div className="flex min-h-11 items-center gap-4">
          <dt className="w-24 shrink-0 text-ink-3">User id</dt>
          <dd className="flex min-w-0 flex-1 items-center justify-between gap-2">
            <code className="truncate font-mono text-[0.8125rem]">{id}</code>
            <CopyButton text={() => id} label="Copy user id" className="-mr-2 shrink-0" />
          </dd>
        </div>
      </dl>
      {guest && (
        <p className="mt-2.5 text-sm text-pretty text-ink-2">
          This browser is the only key to your chats. They are deleted after {guestDays} days without a visit.{" "}
          <Link href="/sign-in?new" className="font-medium text-water underline-offset-4 hover:underline">
            Create an account
          </Link>{" "}
          to keep them.
        </p>
      )}
    </>
  );
}
