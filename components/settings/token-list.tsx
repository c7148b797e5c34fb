"use client";
import { KeyRound } from "lucide-react";
import { useState } from "react";
import { Button } from "@/components/ui/button";
import { Confirm } from "@/components/ui/confirm";
import { MoreButton } from "@/components/ui/more-button";
import type { Token } from "@/packages/client/src/api";
import { day } from "./day";

type TokenListProps = {
  tokens: Token[];
  onRevoke: (id: string) => Promise<unknown>;
  /** Null when all are shown. */
  onMore: (() => Promise<unknown>) | null;
};

export function TokenList({ tokens, onRevoke, onMore }: TokenListProps) {
  const [revoking, setRevoking] = useState<Token | null>(null);
  if (tokens.length === 0) return <p className="mt-5 text-sm text-ink-3">No tokens yet.</p>;
  return (
    <>
      <ul aria-label="Tokens" className="mt-5 divide-y divide-line border-y border-line">
        {tokens.map((token) => (
          <li key={token.id} className="flex min-h-15 items-center gap-3 py-2">
            <KeyRound aria-hidden="true" className="size-4 shrink-0 text-ink-3" />
            <div className="min-w-0 flex-1">
              <p className="truncate text-sm font-medium">{token.name}</p>
              <p className="mt-0.5 text-xs text-ink-3 tabular-nums">{lifetimeText(token)}</p>
            </div>
            <Button aria-label={`Revoke ${token.name}`} onClick={() => setRevoking(token)} className="h-8! px-3!">
              Revoke
            </Button>
          </li>
        ))}
      </ul>
      {onMore && <MoreButton onMore={onMore} label="Load older tokens" />}
      <Confirm
        open={revoking !== null}
        onOpenChange={(open) => !open && setRevoking(null)}
        title="Revoke this token?"
        description={`Programs that use “${revoking?.name ?? ""}” lose access immediately. This cannot be undone.`}
        action="Revoke"
        onConfirm={() => revoking && void onRevoke(revoking.id)}
      />
    </>
  );
}

function lifetimeText({ createdAt, lastUsedAt, expiresAt }: Token): string {
  const used = lastUsedAt ? `last used ${day(lastUsedAt)}` : "never used";
  return [`Created ${day(createdAt)}`, used, ...(expiresAt ? [`expires ${day(expiresAt)}`] : [])].join(" · ");
}
