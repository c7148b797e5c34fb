"use client";
import { useCallback, useEffect, useRef } from "react";

const name = "rivulet.chats";

/**
 * Notifies the other tabs of a change in this chat and listens for theirs: a second tab joins an
 * answer immediately.
 */
export function useOtherTabs(chatId: string, onChange: () => void): () => void {
  const channel = useRef<BroadcastChannel | null>(null);
  useEffect(() => {
    const open = new BroadcastChannel(name);
    channel.current = open;
    open.onmessage = (event: MessageEvent<unknown>) => {
      if (event.data === chatId) onChange();
    };
    // A tab in the background may have missed everything, also changes from other devices.
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
