"use client";
import { useCallback, useEffect, useRef, useState } from "react";
import { readStored, writeStored } from "@/components/ui/stored";
import type { ChatMessage } from "@/lib/turn/chunks";
import { useSession } from "./session";

/**
 * What stands in the composer, and the message on its way: sent, but not yet known to be stored. That one keeps its id,
 * so that sending it again, also after a reload, is the same send (docs/protocol.md §5). With other `options` it is another one.
 */
export type Draft = { text: string; sent?: { messageId: string; chatId: string; text: string; options?: string } };

const empty: Draft = { text: "" };

function acceptDraft(stored: unknown): Draft {
  const { text, sent } = (stored ?? {}) as Partial<Draft>;
  return { text: typeof text === "string" ? text : "", sent: typeof sent?.messageId === "string" ? sent : undefined };
}

const keyOf = (userId: string, place: string) => `rivulet.${userId}.draft.${place}`;

/** The draft of the chat that does not exist yet; its message in flight knows which chat it was sent to. */
export function readNewDraft(userId: string): Draft {
  return acceptDraft(readStored(keyOf(userId, "new")));
}

/**
 * Survives reloads and failures, one for each chat; `place` is a chat's id, or "new". Not shared live between tabs: two
 * people's worth of typing in one field helps nobody. `moveTo` gives the draft of a new chat to the chat it became.
 */
export function useDraft(place: string, messages: ChatMessage[]) {
  const { user } = useSession();
  const key = useRef(keyOf(user.id, place));
  const [draft, setState] = useState(empty);

  const setDraft = useCallback((next: Draft) => {
    setState(next);
    writeStored(key.current, next.text || next.sent ? next : null);
  }, []);

  const moveTo = useCallback(
    (chatId: string) => {
      writeStored(key.current, null);
      key.current = keyOf(user.id, chatId);
    },
    [user.id],
  );

  // A message that was on its way when the page went: stored, then the chat has it; else it comes back to the composer.
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, when the page opens.
  useEffect(() => {
    const { text, sent } = acceptDraft(readStored(key.current));
    if (sent && messages.some(({ id }) => id === sent.messageId)) setDraft({ text });
    else setState({ text: text || (sent?.text ?? ""), sent });
  }, []);

  return { draft, setDraft, moveTo };
}
