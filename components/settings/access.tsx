"use client";
import { type FormEvent, useState } from "react";
import { api } from "@/components/api";
import { Button } from "@/components/ui/button";
import { CopyButton } from "@/components/ui/copy-button";
import { Field } from "@/components/ui/field";
import type { TokenPage } from "@/lib/client/api";
import { Problem, useAttempt } from "./problem";
import { Requests } from "./requests";
import { Section } from "./section";
import { TokenList } from "./token-list";

type AccessProps = { first: TokenPage; userId: string; address: string };

/** The tokens of this account and what to do with one. A new token is in this page's memory only, until it is left. */
export function Access({ first, userId, address }: AccessProps) {
  const [{ tokens, nextCursor }, setPage] = useState(first);
  const [made, setMade] = useState<{ id: string; token: string } | null>(null);
  const { problem, pending, attempt } = useAttempt();

  const attemptAndList = (work: () => Promise<void>) =>
    attempt(async () => {
      await work();
      setPage(await api.listTokens());
    });
  const create = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const name = String(new FormData(form).get("name")).trim();
    await attemptAndList(async () => {
      setMade(await api.createToken(name ? { name } : {}));
      form.reset();
    });
  };
  const revoke = async (id: string) => {
    await attemptAndList(async () => {
      await api.deleteToken(id);
      if (made?.id === id) setMade(null);
    });
  };

  const loadMore = () =>
    attempt(async () => {
      const next = await api.listTokens({ cursor: nextCursor ?? undefined });
      setPage({ tokens: [...tokens, ...next.tokens], nextCursor: next.nextCursor });
    });

  return (
    <>
      <Section
        title="Access tokens"
        lead="A token lets a program act as you: ask questions, and read and change your chats and documents. It is good until you revoke it, change your password or delete your account."
      >
        <form onSubmit={create} className="flex items-end gap-2">
          <div className="min-w-0 flex-1 [&_input]:w-full">
            <Field label="Name" name="name" maxLength={100} autoComplete="off" placeholder="What is it for?" />
          </div>
          <Button type="submit" look="primary" disabled={pending} className="h-10!">
            Create token
          </Button>
        </form>
        <Problem text={problem} />
        {made && <NewToken token={made.token} />}
        <TokenList tokens={tokens} onRevoke={revoke} onMore={nextCursor ? loadMore : null} />
      </Section>
      <Requests address={address} userId={userId} token={made?.token} />
    </>
  );
}

function NewToken({ token }: { token: string }) {
  return (
    <div role="status" className="mt-4 rounded-xl bg-water-soft p-4">
      <p className="text-sm font-medium">Your new token</p>
      <div className="mt-2 flex items-center gap-1 rounded-lg border border-line-strong bg-paper pl-3">
        <code className="min-w-0 flex-1 py-2 font-mono text-[0.8125rem] break-all select-all">{token}</code>
        <CopyButton text={() => token} label="Copy token" className="shrink-0" />
      </div>
      <p className="mt-2 text-xs text-pretty text-ink-2">
        Copy it now: it is shown this once, and only its fingerprint is stored.
      </p>
    </div>
  );
}
