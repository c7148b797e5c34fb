import type { Metadata } from "next";
import { headers } from "next/headers";
import { redirect } from "next/navigation";
import { currentUser } from "@/app/session";
import { Settings } from "@/components/settings/settings";
import { listTokens } from "@/lib/chats/users";

export const metadata: Metadata = { title: "Settings" };

export default async function SettingsPage() {
  const user = await currentUser();
  if (!user) redirect("/sign-in");
  return <Settings user={user} tokens={await listTokens(user.id)} address={addressOf(await headers())} />;
}

/** Where this browser found the server: what a command on the same machine can use, too. */
function addressOf(asked: Headers): string {
  const first = (name: string) => asked.get(name)?.split(",")[0]?.trim();
  const host = first("x-forwarded-host") ?? asked.get("host") ?? "localhost";
  return `${first("x-forwarded-proto") ?? "http"}://${host}`;
}
