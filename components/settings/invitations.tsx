"use client";
import { MailPlus } from "lucide-react";
import { useState } from "react";
import { api } from "@/components/api";
import { Button } from "@/components/ui/button";
import { Confirm } from "@/components/ui/confirm";
import type { Invitation } from "@/packages/client/src/api";
import { day } from "./day";
import { Problem } from "./problem";
import { NewSecret, SecretForm, useSecrets } from "./secret";
import { Section } from "./section";

type InvitationsProps = { first: Invitation[]; address: string };

/** Administrators only. */
export function Invitations({ first, address }: InvitationsProps) {
  const [invitations, setInvitations] = useState(first);
  const { made, create, revoke, problem, pending } = useSecrets({
    make: (fields) => {
      const email = String(fields.get("invited")).trim();
      return api.createInvitation({ ...(email && { email }), role: fields.get("admin") ? "admin" : "user" });
    },
    remove: (id) => api.deleteInvitation(id),
    refresh: async () => setInvitations(await api.listInvitations()),
  });

  return (
    <Section
      title="Invitations"
      lead="You administer this server. A link lets one person create an account here; it works once and expires after seven days."
    >
      <SecretForm
        field={{
          ...{ label: "Email", name: "invited", type: "email", maxLength: 254 },
          placeholder: "Anyone with the link",
        }}
        action="Create link"
        pending={pending}
        onCreate={create}
      >
        <label className="mt-3 flex w-fit items-center gap-2 text-sm text-ink-2">
          <input type="checkbox" name="admin" className="size-4 accent-water" />
          As an administrator
        </label>
      </SecretForm>
      <Problem text={problem} />
      {made && (
        <NewSecret
          title="Your new link"
          text={`${address}/sign-in?invite=${made.token}`}
          copyLabel="Copy link"
          advice="Send it to the person you invite. It is shown only once. The server stores only its hash."
        />
      )}
      <InvitationList invitations={invitations} onRevoke={revoke} />
    </Section>
  );
}

type ListProps = { invitations: Invitation[]; onRevoke: (id: string) => Promise<boolean> };

function InvitationList({ invitations, onRevoke }: ListProps) {
  const [revoking, setRevoking] = useState<Invitation | null>(null);
  if (invitations.length === 0) return <p className="mt-5 text-sm text-ink-3">No invitations yet.</p>;
  return (
    <>
      <ul aria-label="Invitations" className="mt-5 divide-y divide-line border-y border-line">
        {invitations.map((invitation) => (
          <li key={invitation.id} className="flex min-h-15 items-center gap-3 py-2">
            <MailPlus aria-hidden="true" className="size-4 shrink-0 text-ink-3" />
            <div className="min-w-0 flex-1">
              <p className="truncate text-sm font-medium">{nameOf(invitation)}</p>
              <p className="mt-0.5 text-xs text-ink-3 tabular-nums">{lifetimeText(invitation)}</p>
            </div>
            <Button
              aria-label={`${invitation.usedAt ? "Remove" : "Revoke"} ${nameOf(invitation)}`}
              onClick={() => (invitation.usedAt ? void onRevoke(invitation.id) : setRevoking(invitation))}
              className="h-8! px-3!"
            >
              {invitation.usedAt ? "Remove" : "Revoke"}
            </Button>
          </li>
        ))}
      </ul>
      <Confirm
        open={revoking !== null}
        onOpenChange={(open) => !open && setRevoking(null)}
        title="Revoke this invitation?"
        description="Its link stops working immediately. This cannot be undone."
        action="Revoke"
        onConfirm={() => revoking && void onRevoke(revoking.id)}
      />
    </>
  );
}

function nameOf({ email }: Invitation): string {
  return email ?? "Anyone with the link";
}

function lifetimeText({ role, createdAt, expiresAt, usedAt }: Invitation): string {
  const end = usedAt ? `used ${day(usedAt)}` : `valid until ${day(expiresAt)}`;
  return [...(role === "admin" ? ["Administrator"] : []), `Created ${day(createdAt)}`, end].join(" · ");
}
