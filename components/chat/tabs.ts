"use client";
import { useCallback, useEffect, useRef } from "react";

const name = "rivulet.chats";

/** Tells the other tabs that a chat began to change, and hears of it: a second tab joins an answer at once. */
export function useOtherTabs(chatId: string, onChange: () => void): () => void {
  const channel = useRef<BroadcastChannel | null>(null);
  useEffect(() => {
    const open = new BroadcastChannel(name);
    channel.current = open;
    open.onmessage = (event: MessageEvent<unknown>) => {
      if (event.data === chatId) onChange();
    };
    // A tab that comes back to the front may have missed everything, also what other devices did.
    const onVisible = () => {
      if (document.visibilityState === "visible") onChange();
    };
    document.addEventListener("visibilitychange", onVisible);
    return () => {
      open.close();
      document.removeEventListener("visibilitychange", onVisible);
    };
  }, [chatId, onChange]);
  return useCallback(() => channel.current?.postMessage(chatId), [chatId]);
}
