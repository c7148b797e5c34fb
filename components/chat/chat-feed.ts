"use client";
import { useEffect } from "react";
import { followChat, type TurnNews } from "@/lib/client/chat-feed";

/**
 * Hears of the chat's latest turn, also of one that another device began. Only while the page is in view: over HTTP/1.1 a
 * browser opens six connections to a host for all its tabs together, and an answer needs one of them. A page that comes
 * back into view is told anew. Null: there is no chat yet.
 */
export function useChatFeed(chatId: string | null, onTurn: (news: TurnNews) => void): void {
  useEffect(() => {
    if (chatId === null) return;
    let feed: AbortController | null = null;
    const follow = () => {
      const inView = document.visibilityState === "visible";
      if (inView === (feed !== null)) return;
      feed?.abort();
      feed = null;
      if (!inView) return;
      feed = new AbortController();
      const { signal } = feed;
      followChat({ chatId, onTurn, signal }).catch((error) => {
        // The chat is gone, or the session: the next request of the page says so.
        if (!signal.aborted) console.warn(error);
      });
    };
    follow();
    document.addEventListener("visibilitychange", follow);
    return () => {
      document.removeEventListener("visibilitychange", follow);
      feed?.abort();
    };
  }, [chatId, onTurn]);
}
