"use client";
import { usePathname, useRouter } from "next/navigation";
import { useEffect, useState } from "react";
import { useChats } from "./chats";
import { Conversation } from "./conversation";
import { readNewDraft } from "./draft";
import { useSession } from "./session";

/** The chat that does not exist yet. With its first message the address becomes its own, without a page change. */
export function FreshChat() {
  const { user } = useSession();
  const { freshId, startFresh } = useChats();
  const path = usePathname();
  const router = useRouter();

  // A first message that was on its way when the page went is sent again to the same chat.
  useEffect(() => {
    const { sent } = readNewDraft(user.id);
    if (sent) startFresh(sent.chatId);
  }, [user.id, startFresh]);

  // Back in the history to a chat that began here: this page no longer holds it, its own page does.
  const [openedAt] = useState(path);
  const elsewhere = path !== "/" && (openedAt !== "/" || path !== `/chat/${freshId}`);
  useEffect(() => {
    if (elsewhere) router.replace(path);
  }, [elsewhere, path, router]);

  return elsewhere ? null : <Conversation key={freshId} chatId={freshId} initial={[]} isNew />;
}
