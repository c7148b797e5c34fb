"use client";
import { usePathname, useRouter } from "next/navigation";
import { useEffect, useState } from "react";
import { v7 as newId } from "uuid";
import { useChats } from "./chats";
import { Conversation } from "./conversation";
import { readNewDraft } from "./draft";
import { useSession } from "./session";

const noMessages = { messages: [], nextCursor: null };

/** The chat that does not exist yet. With its first message the address becomes its own, without a page change. */
export function FreshChat() {
  const { user } = useSession();
  const { fresh, setFresh } = useChats();
  const path = usePathname();
  const router = useRouter();
  const [openedAt] = useState(path);
  const own = `/chat/${fresh.id}`;

  // A first message that was on its way when the page went is sent again to the same chat.
  useEffect(() => {
    const { sent } = readNewDraft(user.id);
    if (sent) setFresh({ id: sent.chatId, begun: false });
  }, [user.id, setFresh]);

  // Only the address tells that it began: it changes a moment after the message was taken.
  useEffect(() => {
    if (path === own && !fresh.begun) setFresh({ ...fresh, begun: true });
  }, [path, own, fresh, setFresh]);

  const over = path === "/" && fresh.begun;
  useEffect(() => {
    if (over) setFresh({ id: newId(), begun: false });
  }, [over, setFresh]);

  // Back in the history to a chat that began here: this page no longer holds it, its own page does.
  const elsewhere = path !== "/" && (openedAt !== "/" || path !== own);
  useEffect(() => {
    if (elsewhere) router.replace(path);
  }, [elsewhere, path, router]);

  return over || elsewhere ? null : <Conversation key={fresh.id} chatId={fresh.id} initial={noMessages} isNew />;
}
