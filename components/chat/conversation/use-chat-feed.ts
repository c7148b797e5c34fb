"use client";
import { useEffect } from "react";
import { followChat, type TurnStatus } from "@/packages/client/src/chat-feed";

/** Reports the chat's latest turn, also from other devices. Null: the chat does not exist yet. */
export function useChatFeed(chatId: string | null, onTurn: (news: TurnStatus) => void): void {
  useEffect(() => {
    if (chatId === null) return;
    const leaving = new AbortController();
    const { signal } = leaving;
    followChat({ chatId, onTurn, signal }).catch((error) => {
      // The chat or the session is gone; the page's next request will report it.
      if (!signal.aborted) console.warn(error);
    });
    return () => leaving.abort();
  }, [chatId, onTurn]);
}
