"use client";
import { useChat } from "@ai-sdk/react";
import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { v7 as newId } from "uuid";
import { api } from "@/components/api";
import { RequestError } from "@/lib/client/request";
import { ResumableChatTransport } from "@/lib/client/transport";
import type { ChatMessage } from "@/lib/turn/chunks";
import { useChats } from "./chats";
import { useDraft } from "./draft";
import { describe, type Failure } from "./failure";
import { useModel, useScope } from "./settings";
import { useOtherTabs } from "./tabs";

/** Drawing more often than this shows nobody anything: about three frames. */
const drawMs = 50;
/** How long an answer without an ending may stay unfollowed before the server is asked about it; doubles up to the cap. */
const lookAgainMs = 1_000;
const lookAgainCapMs = 10_000;

function isRunning(message: ChatMessage | undefined): boolean {
  return message?.role === "assistant" && !message.metadata?.status;
}

type Options = { chatId: string; initial: ChatMessage[]; isNew: boolean };

/** One conversation: what it shows, and everything a person can do in it. */
export function useConversation({ chatId, initial, isNew }: Options) {
  const [exists, setExists] = useState(!isNew);
  const { draft, setDraft, moveTo } = useDraft(isNew ? "new" : chatId, initial);
  const [failure, setFailure] = useState<Failure | null>(null);
  const [joining, setJoining] = useState(false);
  const [scope] = useScope();
  const [model] = useModel();
  const { refresh } = useChats();
  const transport = useMemo(() => new ResumableChatTransport(), []);
  const connection = useSyncExternalStore(
    transport.connection.subscribe,
    transport.connection.getSnapshot,
    () => "idle" as const,
  );
  /** What was on the page before the request in flight, until the server has taken that request. */
  const before = useRef<ChatMessage[] | null>(null);

  const chat = useChat<ChatMessage>({
    id: chatId,
    messages: initial,
    transport,
    generateId: newId,
    throttle: drawMs,
    resume: isRunning(initial.at(-1)),
    onData: (part) => {
      if (part.type === "data-turn" && part.data.status === "running") accepted();
    },
    onError: (error) => rejected(error),
    onFinish: () => {
      void refresh();
      tellOthers();
    },
  });
  const { messages, status, setMessages, resumeStream } = chat;
  const busy = status === "submitted" || status === "streaming";

  const latest = useRef({ busy, exists, draft, regenerate: (_messageId: string) => {} });

  const accepted = () => {
    if (!before.current) return;
    before.current = null;
    setExists(true);
    moveTo(chatId);
    if (isNew) window.history.replaceState(null, "", `/chat/${chatId}`);
    // What was typed meanwhile stays; what was sent is the server's now.
    setDraft({ text: latest.current.draft.text });
    void refresh();
    tellOthers();
  };

  const rejected = (error: Error) => {
    if (!before.current) return;
    setMessages(before.current);
    before.current = null;
    setFailure(describe(error));
    const { text, sent } = latest.current.draft;
    if (sent) setDraft({ text: [sent.text, text].filter(Boolean).join("\n"), sent });
    if (error instanceof RequestError && error.code === "turn_running") setJoining(true);
  };

  /** Takes over what the server has, and joins an answer that is being written. */
  const lookAgain = useCallback(async () => {
    if (latest.current.busy || !latest.current.exists) return;
    const stored = await api.listMessages(chatId);
    if (latest.current.busy) return;
    setMessages(stored);
    if (isRunning(stored.at(-1))) await resumeStream();
  }, [chatId, setMessages, resumeStream]);

  const tellOthers = useOtherTabs(
    chatId,
    useCallback(() => {
      // A look that fails here costs nothing: what is on the page stays, and the next event looks again.
      lookAgain().catch((error) => console.warn(error));
    }, [lookAgain]),
  );

  useEffect(() => {
    if (!joining || busy) return;
    setJoining(false);
    lookAgain().catch((error) => setFailure(describe(error)));
  }, [joining, busy, lookAgain]);

  const unfollowed = !busy && isRunning(messages.at(-1));
  const [looks, setLooks] = useState(0);
  useEffect(() => {
    if (!unfollowed) return setLooks(0);
    const timer = setTimeout(
      () => {
        lookAgain()
          .catch((error) => console.warn(error))
          .finally(() => setLooks((count) => count + 1));
      },
      Math.min(lookAgainMs * 2 ** looks, lookAgainCapMs),
    );
    return () => clearTimeout(timer);
  }, [unfollowed, looks, lookAgain]);

  const request = () => {
    const documents = scope.mode === "selected" ? { documentIds: scope.documentIds } : {};
    return { body: { model, searchMode: scope.mode, ...documents } };
  };

  const send = (text = draft.text) => {
    const words = text.trim();
    if (!words || busy) return;
    const messageId = draft.sent?.text === words ? draft.sent.messageId : newId();
    before.current = messages;
    setFailure(null);
    setDraft({ text: "", sent: { messageId, chatId, text: words } });
    void chat.sendMessage({ id: messageId, role: "user", parts: [{ type: "text", text: words }] }, request());
  };

  const regenerate = (messageId: string) => {
    if (busy) return;
    before.current = messages;
    setFailure(null);
    void chat.regenerate({ messageId, ...request() });
  };

  latest.current = { busy, exists, draft, regenerate };
  // One identity for good: it goes to every answer, and a new one would draw them all again.
  const again = useCallback((messageId: string) => latest.current.regenerate(messageId), []);

  const stop = async () => {
    try {
      const { turnId } = await api.stopTurn(chatId);
      // Nothing ran: the request is still on its way here, so it is given up here.
      if (!turnId && before.current) {
        await chat.stop();
        rejected(new RequestError("Stopped before it was sent.", { status: 0, code: "stopped" }));
      }
    } catch (error) {
      setFailure(describe(error));
    }
  };

  return {
    messages,
    status,
    running: busy || unfollowed,
    pending: status === "submitted" && messages.at(-1)?.role === "user",
    away: connection === "reconnecting" || connection === "polling" || (unfollowed && looks > 1),
    text: draft.text,
    // Words that were changed are another message; only those in flight still need their id.
    setText: (text: string) => setDraft({ text, sent: before.current ? draft.sent : undefined }),
    failure,
    send,
    again,
    stop,
  };
}
