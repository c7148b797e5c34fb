import { redirect } from "next/navigation";
import type { ReactNode } from "react";
import { currentUser, signOut } from "@/app/session";
import { SessionProvider } from "@/components/chat/session-context";
import { Shell } from "@/components/chat/shell";
import { ChatsProvider } from "@/components/chat/sidebar/chats-context";
import { DocumentsProvider } from "@/components/documents/documents-context";
import { defaultModelId, listModels } from "@/lib/models/catalogue";
import { listChats } from "@/lib/services/chats/chats";

async function signOutAndRedirect() {
  "use server";
  await signOut();
  redirect("/sign-in");
}

export default async function ChatLayout({ children }: { children: ReactNode }) {
  const user = await currentUser();
  if (!user) redirect("/sign-in");
  const first = await listChats(user.id, {});
  const models = (await listModels()).map(({ id, label, ready }) => ({ id, label, ready }));
  return (
    <SessionProvider user={user} models={models} defaultModel={defaultModelId()}>
      <ChatsProvider first={first}>
        <DocumentsProvider>
          <Shell signOut={signOutAndRedirect}>{children}</Shell>
        </DocumentsProvider>
      </ChatsProvider>
    </SessionProvider>
  );
}
