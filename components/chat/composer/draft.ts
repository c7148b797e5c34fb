"use client";
import { useCallback, useEffect, useRef, useState } from "react";
import { useSession } from "@/components/chat/session-context";
import { readLocalStorage, writeLocalStorage } from "@/components/ui/local-storage";
import type { ChatMessage } from "@/lib/turn/chunks";

/**
 * The composer's text and the message in flight: sent, but not known to be stored. It keeps its id,
 * so that sending it again, also after a reload, is the same send (docs/protocol.md §5). Different
 * `options` make it another send.
 */
export type Draft = { text: string; sent?: { messageId: string; chatId: string; text: string; options?: string } };

const empty: Draft = { text: "" };

function acceptDraft(stored: unknown): Draft {
  const { text, sent } = (stored ?? {}) as Partial<Draft>;
  return { text: typeof text === "string" ? text : "", sent: typeof sent?.messageId === "string" ? sent : undefined };
}

const keyOf = (userId: string, place: string) => `rivulet.${userId}.draft.${place}`;

/** The draft of the chat that does not exist yet; its message in flight knows its chat id. */
export function readNewDraft(userId: string): Draft {
  return acceptDraft(readLocalStorage(keyOf(userId, "new")));
}

/**
 * One draft per chat, which survives reloads and failures; `place` is a chat id or "new". Not
 * synced live between tabs: two tabs typing into one draft helps nobody. `moveTo` hands the draft
 * of a new chat to the chat it became.
 */
export function useDraft(place: string, messages: ChatMessage[]) {
  const { user } = useSession();
  const key = useRef(keyOf(user.id, place));
  const [draft, setState] = useState(empty);

  const setDraft = useCallback((next: Draft) => {
    setState(next);
    writeLocalStorage(key.current, next.text || next.sent ? next : null);
  }, []);

  const moveTo = useCallback(
    (chatId: string) => {
      writeLocalStorage(key.current, null);
      key.current = keyOf(user.id, chatId);
    },
    [user.id],
  );

  // A message in flight when the page closed: if the chat has it, it was stored; otherwise it
  // returns to the composer.
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, when the page opens.
  useEffect(() => {
    const { text, sent } = acceptDraft(readLocalStorage(key.current));
    if (sent && messages.some(({ id }) => id === sent.messageId)) setDraft({ text });
    else setState({ text: text || (sent?.text ?? ""), sent });
  }, []);

  return { draft, setDraft, moveTo };
}
