import type { Metadata } from "next";
import { headers } from "next/headers";
import { redirect } from "next/navigation";
import { originOf } from "@/app/openapi/origin";
import { currentUser } from "@/app/session";
import { Settings } from "@/components/settings/settings";
import { listTokens } from "@/lib/chats/users";
import { env } from "@/lib/env";

export const metadata: Metadata = { title: "Settings" };

export default async function SettingsPage() {
  const user = await currentUser();
  if (!user) redirect("/sign-in");
  const tokens = await listTokens(user.id);
  return <Settings user={user} tokens={tokens} guestDays={env().GUEST_DAYS} address={originOf(await headers())} />;
}
