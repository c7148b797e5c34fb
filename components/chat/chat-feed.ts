"use client";
import { useEffect } from "react";
import { followChat, type TurnNews } from "@/lib/client/chat-feed";

/** Hears of the chat's latest turn, also of one that another device began. Null: there is no chat yet. */
export function useChatFeed(chatId: string | null, onTurn: (news: TurnNews) => void): void {
  useEffect(() => {
    if (chatId === null) return;
    const leaving = new AbortController();
    const { signal } = leaving;
    followChat({ chatId, onTurn, signal }).catch((error) => {
      // The chat is gone, or the session: the next request of the page says so.
      if (!signal.aborted) console.warn(error);
    });
    return () => leaving.abort();
  }, [chatId, onTurn]);
}
