"use client";
import { useState } from "react";
import { api } from "@/components/api";
import type { TokenPage } from "@/packages/client/src/api";
import { Problem } from "./problem";
import { Requests } from "./requests";
import { NewSecret, SecretForm, useSecrets } from "./secret";
import { Section } from "./section";
import { TokenList } from "./token-list";

type AccessProps = { first: TokenPage; userId: string; address: string };

/** This account's tokens and their actions. */
export function Access({ first, userId, address }: AccessProps) {
  const [{ tokens, nextCursor }, setPage] = useState(first);
  const { made, create, revoke, attempt, problem, pending } = useSecrets({
    make: (fields) => {
      const name = String(fields.get("name")).trim();
      return api.createToken(name ? { name } : {});
    },
    remove: (id) => api.deleteToken(id),
    refresh: async () => setPage(await api.listTokens()),
  });
  const loadMore = () =>
    attempt(async () => {
      const next = await api.listTokens({ cursor: nextCursor ?? undefined });
      setPage({ tokens: [...tokens, ...next.tokens], nextCursor: next.nextCursor });
    });

  return (
    <>
      <Section
        title="Access tokens"
        lead="A token lets a program act as you: ask questions, and read and change your chats and documents. It is valid until you revoke it, change your password or delete your account."
      >
        <SecretForm
          field={{ label: "Name", name: "name", maxLength: 100, placeholder: "What is it for?" }}
          action="Create token"
          pending={pending}
          onCreate={create}
        />
        <Problem text={problem} />
        {made && (
          <NewSecret
            title="Your new token"
            text={made.token}
            copyLabel="Copy token"
            advice="Copy it now: it is shown only once. The server stores only its hash."
          />
        )}
        <TokenList tokens={tokens} onRevoke={revoke} onMore={nextCursor ? loadMore : null} />
      </Section>
      <Requests address={address} userId={userId} token={made?.token} />
    </>
  );
}
