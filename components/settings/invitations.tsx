"use client";
import { MailPlus } from "lucide-react";
import { type FormEvent, useState } from "react";
import { api } from "@/components/api";
import { Button } from "@/components/ui/button";
import { Confirm } from "@/components/ui/confirm";
import { CopyButton } from "@/components/ui/copy-button";
import { Field } from "@/components/ui/field";
import type { Invitation } from "@/lib/client/api";
import { day } from "./day";
import { Problem, useAttempt } from "./problem";
import { Section } from "./section";

type InvitationsProps = { first: Invitation[]; address: string };

/** For administrators. A new link is in this page's memory only, until it is left. */
export function Invitations({ first, address }: InvitationsProps) {
  const [invitations, setInvitations] = useState(first);
  const [made, setMade] = useState<{ id: string; token: string } | null>(null);
  const { attempt, problem, pending } = useAttempt();

  const create = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const fields = new FormData(form);
    const email = String(fields.get("invited")).trim();
    await attempt(async () => {
      setMade(await api.createInvitation({ ...(email && { email }), role: fields.get("admin") ? "admin" : "user" }));
      setInvitations(await api.listInvitations());
      form.reset();
    });
  };
  const revoke = (id: string) =>
    attempt(async () => {
      await api.deleteInvitation(id);
      if (made?.id === id) setMade(null);
      setInvitations(await api.listInvitations());
    });

  return (
    <Section
      title="Invitations"
      lead="You administer this server. A link lets one person make an account here; it works once, for seven days."
    >
      <form onSubmit={create}>
        <div className="flex items-end gap-2">
          <div className="min-w-0 flex-1 [&_input]:w-full">
            <Field
              label="Email"
              name="invited"
              type="email"
              maxLength={254}
              autoComplete="off"
              placeholder="Anyone with the link"
            />
          </div>
          <Button type="submit" look="primary" disabled={pending} className="h-10!">
            Create link
          </Button>
        </div>
        <label className="mt-3 flex w-fit items-center gap-2 text-sm text-ink-2">
          <input type="checkbox" name="admin" className="size-4 accent-water" />
          As an administrator
        </label>
      </form>
      <Problem text={problem} />
      {made && <NewLink link={`${address}/sign-in?invite=${made.token}`} />}
      <InvitationList invitations={invitations} onRevoke={revoke} />
    </Section>
  );
}

function NewLink({ link }: { link: string }) {
  return (
    <div role="status" className="mt-4 rounded-xl bg-water-soft p-4">
      <p className="text-sm font-medium">Your new link</p>
      <div className="mt-2 flex items-center gap-1 rounded-lg border border-line-strong bg-paper pl-3">
        <code className="min-w-0 flex-1 py-2 font-mono text-[0.8125rem] break-all select-all">{link}</code>
        <CopyButton text={() => link} label="Copy link" className="shrink-0" />
      </div>
      <p className="mt-2 text-xs text-pretty text-ink-2">
        Send it to the person you invite. It is shown this once, and only its fingerprint is stored.
      </p>
    </div>
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
              <p className="mt-0.5 text-xs text-ink-3 tabular-nums">{lifeOf(invitation)}</p>
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
        description="Its link is refused from now on. This cannot be undone."
        action="Revoke"
        onConfirm={() => revoking && void onRevoke(revoking.id)}
      />
    </>
  );
}

function nameOf({ email }: Invitation): string {
  return email ?? "Anyone with the link";
}

function lifeOf({ role, createdAt, expiresAt, usedAt }: Invitation): string {
  const end = usedAt ? `used ${day(usedAt)}` : `good until ${day(expiresAt)}`;
  return [...(role === "admin" ? ["Administrator"] : []), `Made ${day(createdAt)}`, end].join(" · ");
}
