"use client";
import { useEffect, useState, useSyncExternalStore } from "react";
import { type ChatClientOptions, createChatClient } from "./chat-client.ts";
import { type ChatState, type ChatStore, createChatStore } from "./chat-store.ts";

export type ChatStream = ChatState & Pick<ChatStore, "send" | "cancel" | "retry">;

/**
 * One conversation in any wire format: state and actions. `chat` names an existing one. Options are
 * read at mount; give the component another `key` to switch.
 */
export function useChatStream({ chat, ...options }: ChatClientOptions & { chat?: string | number }): ChatStream {
  const [store] = useState(() => createChatStore(createChatClient(options), { chat }));
  const state = useSyncExternalStore(store.subscribe, store.getSnapshot, store.getSnapshot);
  // Leaving the page does not stop the answer.
  useEffect(() => store.leave, [store]);
  const { send, cancel, retry } = store;
  return { ...state, send, cancel, retry };
}
