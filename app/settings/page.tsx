import type { Metadata } from "next";
import { headers } from "next/headers";
import { redirect } from "next/navigation";
import { originOf } from "@/app/openapi/origin";
import { currentCaller } from "@/app/session";
import { Settings } from "@/components/settings/settings";
import { env } from "@/lib/env";
import { listInvitations } from "@/lib/services/users/invitations";
import { listSessions } from "@/lib/services/users/sessions";
import { listTokens } from "@/lib/services/users/users";

export const metadata: Metadata = { title: "Settings" };

export default async function SettingsPage() {
  const caller = await currentCaller();
  if (!caller) redirect("/sign-in");
  const { user } = caller;
  const [tokens, sessions] = await Promise.all([listTokens(user.id), listSessions(caller)]);
  return (
    <Settings
      user={user}
      tokens={tokens}
      sessions={sessions}
      invitations={user.admin ? await listInvitations() : null}
      guestDays={env().GUEST_DAYS}
      address={originOf(await headers())}
    />
  );
}
