"use client";
import { usePathname, useRouter } from "next/navigation";
import { useEffect, useState } from "react";
import { v7 as newId } from "uuid";
import { readNewDraft } from "@/components/chat/composer/draft";
import { Conversation } from "@/components/chat/conversation/conversation";
import { useChats } from "@/components/chat/sidebar/chats-context";
import { useSession } from "./session-context";

const noMessages = { messages: [], nextCursor: null };

/** The chat that does not exist yet. Its first message sets the URL without a navigation. */
export function FreshChat() {
  const { user } = useSession();
  const { fresh, setFresh } = useChats();
  const path = usePathname();
  const router = useRouter();
  const [openedAt] = useState(path);
  const own = `/chat/${fresh.id}`;

  // A first message in flight when the page closed is sent again to the same chat.
  useEffect(() => {
    const { sent } = readNewDraft(user.id);
    if (sent) setFresh({ id: sent.chatId, started: false });
  }, [user.id, setFresh]);

  // The changed URL, shortly after the message was accepted, is the only sign that the chat began.
  useEffect(() => {
    if (path === own && !fresh.started) setFresh({ ...fresh, started: true });
  }, [path, own, fresh, setFresh]);

  const ended = path === "/" && fresh.started;
  useEffect(() => {
    if (ended) setFresh({ id: newId(), started: false });
  }, [ended, setFresh]);

  // Back in history to a chat that began here: this page no longer holds it, so load its own page.
  const elsewhere = path !== "/" && (openedAt !== "/" || path !== own);
  useEffect(() => {
    if (elsewhere) router.replace(path);
  }, [elsewhere, path, router]);

  return ended || elsewhere ? null : <Conversation key={fresh.id} chatId={fresh.id} initial={noMessages} isNew />;
}
