"use client";
import { useChat } from "@ai-sdk/react";
import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { v7 as newId } from "uuid";
import { api } from "@/components/api";
import type { Approval } from "@/components/chat/answer/consent";
import { describeFailure, type FailureNotice } from "@/components/chat/answer/describe-failure";
import { useDraft } from "@/components/chat/composer/draft";
import { useModel, useScope } from "@/components/chat/composer/next-turn";
import { useChats } from "@/components/chat/sidebar/chats-context";
import { useOtherTabs } from "@/components/chat/tabs";
import type { ChatMessage } from "@/lib/turn/chunks";
import type { MessagePage } from "@/packages/client/src/api";
import type { TurnStatus } from "@/packages/client/src/chat-feed";
import { drawMs, gatherMs } from "@/packages/client/src/pacing";
import { RequestError } from "@/packages/client/src/request";
import { type ContinueRequest, ResumableChatTransport } from "@/packages/client/src/transport";
import { useChatFeed } from "./use-chat-feed";
import { visibleMessages } from "./visible-messages";

/** Delay before polling an unfinished answer without a stream; doubles up to the cap. */
const refreshMs = 1_000;
const maxRefreshMs = 10_000;

function isRunning(message: ChatMessage | undefined): boolean {
  return message?.role === "assistant" && !message.metadata?.status;
}

/** Whether these messages already show, or are about to show, the turn in the reported state. */
function isKnown(messages: ChatMessage[], { turnId, status }: TurnStatus): boolean {
  return messages.some(({ metadata }) => metadata?.turnId === turnId && (status === "running" || metadata.status));
}

type Options = { chatId: string; initial: MessagePage; isNew: boolean };

/** One conversation: its state and every action on it. */
export function useConversation({ chatId, initial: { messages: initial, nextCursor }, isNew }: Options) {
  const [exists, setExists] = useState(!isNew);
  const { draft, setDraft, moveTo } = useDraft(isNew ? "new" : chatId, initial);
  const [failure, setFailure] = useState<FailureNotice | null>(null);
  /** Cursor to the messages before the first one on the page. */
  const [olderCursor, setOlderCursor] = useState(nextCursor);
  const [joining, setJoining] = useState(false);
  /** The broken answer whose requested continuation is being followed. */
  const [continuing, setContinuing] = useState<string | null>(null);
  /** The latest feed event not known to be on the page. */
  const [pendingTurn, setPendingTurn] = useState<TurnStatus | null>(null);
  const [scope] = useScope();
  const [model] = useModel();
  const { refresh } = useChats();
  const transport = useMemo(() => new ResumableChatTransport({ gatherMs }), []);
  const connection = useSyncExternalStore(
    transport.connection.subscribe,
    transport.connection.getSnapshot,
    () => "idle" as const,
  );
  /** The page's messages before the request in flight, until the server accepts it. */
  const messagesBefore = useRef<ChatMessage[] | null>(null);
  /** A running answer was found and is being joined. */
  const isJoining = useRef(false);

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
      notifyOtherTabs();
    },
  });
  const { status, setMessages, resumeStream } = chat;
  const shown = useRef(initial);
  const messages = useMemo(
    () => visibleMessages(chat.messages, shown.current, continuing),
    [chat.messages, continuing],
  );
  useEffect(() => {
    shown.current = messages;
  }, [messages]);
  const busy = status === "submitted" || status === "streaming" || continuing !== null;

  const nothing = (_messageId: string) => {};
  const undecided = (_messageId: string, _approvals: Approval[]) => {};
  const latest = useRef({ busy, exists, draft, regenerate: nothing, goOn: nothing, decide: undecided });

  const accepted = () => {
    if (!messagesBefore.current) return;
    messagesBefore.current = null;
    setExists(true);
    moveTo(chatId);
    if (isNew) window.history.replaceState(null, "", `/chat/${chatId}`);
    // Text typed meanwhile stays; the server owns what was sent.
    setDraft({ text: latest.current.draft.text });
    void refresh();
    notifyOtherTabs();
  };

  const rejected = (error: Error) => {
    if (!messagesBefore.current) return;
    setMessages(messagesBefore.current);
    messagesBefore.current = null;
    const { text, sent } = latest.current.draft;
    if (sent) setDraft({ text: [sent.text, text].filter(Boolean).join("\n"), sent });
    const answers = error instanceof RequestError && error.code === "turn_running";
    if (answers) setJoining(true);
    // Without a typed message (regenerate) no failure is shown: an answer arrives anyway.
    if (sent || !answers) setFailure(describeFailure(error));
  };

  /** Syncs with the server's messages and joins a running answer. */
  const syncWithServer = useCallback(async () => {
    const isFollowing = () => latest.current.busy || isJoining.current;
    if (isFollowing() || !latest.current.exists) return;
    const newest = await api.listMessages(chatId);
    if (isFollowing()) return;
    // Keep what was loaded above: messages above another never change.
    const overlap = shown.current.findIndex(({ id }) => id === newest.messages[0]?.id);
    if (overlap === -1) setOlderCursor(newest.nextCursor);
    setMessages([...shown.current.slice(0, Math.max(0, overlap)), ...newest.messages]);
    if (!isRunning(newest.messages.at(-1))) return;
    isJoining.current = true;
    await resumeStream().finally(() => {
      isJoining.current = false;
    });
  }, [chatId, setMessages, resumeStream]);

  const loadOlder = async () => {
    if (olderCursor === null) return;
    const page = await api.listMessages(chatId, { cursor: olderCursor });
    if (messagesBefore.current) messagesBefore.current = [...page.messages, ...messagesBefore.current];
    setMessages((now) => [...page.messages, ...now]);
    setOlderCursor(page.nextCursor);
  };

  const notifyOtherTabs = useOtherTabs(
    chatId,
    useCallback(() => {
      // A failure here is harmless: the page stays as it is, and the next event looks again.
      syncWithServer().catch((error) => console.warn(error));
    }, [syncWithServer]),
  );

  useChatFeed(exists ? chatId : null, setPendingTurn);
  useEffect(() => {
    if (!pendingTurn || busy || isKnown(messages, pendingTurn)) return;
    // Once per event: if this fails, the connection is down, and the feed repeats the state after
    // its reconnect.
    setPendingTurn(null);
    syncWithServer().catch((error) => console.warn(error));
    void refresh();
  }, [pendingTurn, busy, messages, syncWithServer, refresh]);

  useEffect(() => {
    if (!joining || busy) return;
    setJoining(false);
    syncWithServer().catch((error) => setFailure(describeFailure(error)));
  }, [joining, busy, syncWithServer]);

  const unfollowed = !busy && isRunning(messages.at(-1));
  const [refreshes, setRefreshes] = useState(0);
  useEffect(() => {
    if (!unfollowed) return setRefreshes(0);
    const timer = setTimeout(
      () => {
        syncWithServer()
          .catch((error) => console.warn(error))
          .finally(() => setRefreshes((count) => count + 1));
      },
      Math.min(refreshMs * 2 ** refreshes, maxRefreshMs),
    );
    return () => clearTimeout(timer);
  }, [unfollowed, refreshes, syncWithServer]);

  const request = () => {
    const documents = scope.mode === "selected" ? { documentIds: scope.documentIds } : {};
    return { body: { model, searchMode: scope.mode, ...documents } };
  };

  /** Before each request: only what is shown counts; earlier feed events do not. */
  const begin = () => {
    messagesBefore.current = messages;
    setMessages(messages);
    setFailure(null);
    setPendingTurn(null);
  };

  const send = (text = draft.text) => {
    const words = text.trim();
    if (!words || busy) return;
    const options = JSON.stringify(request().body);
    const { sent } = draft;
    const repeats = sent?.text === words && (sent.options ?? options) === options;
    const messageId = repeats ? sent.messageId : newId();
    begin();
    setDraft({ text: "", sent: { messageId, chatId, text: words, options } });
    void chat.sendMessage({ id: messageId, role: "user", parts: [{ type: "text", text: words }] }, request());
  };

  const regenerate = (messageId: string) => {
    if (busy) return;
    begin();
    void chat.regenerate({ messageId, ...request() });
  };

  const continueMessage = (messageId: string) => {
    const turnId = messages.find(({ id }) => id === messageId)?.metadata?.turnId;
    if (busy || !turnId) return;
    resume(messageId, { trigger: "continue-message", messageId, turnId, model });
  };

  const decide = (messageId: string, approvals: Approval[]) => {
    const turnId = messages.find(({ id }) => id === messageId)?.metadata?.turnId;
    if (busy || !turnId) return;
    resume(messageId, { trigger: "answer-approvals", approvals, turnId });
  };

  /** The answer continues in another message. */
  const resume = (messageId: string, body: ContinueRequest) => {
    begin();
    setContinuing(messageId);
    void resumeStream({ body }).finally(() => setContinuing(null));
  };

  latest.current = { busy, exists, draft, regenerate, goOn: continueMessage, decide };
  // Stable identities: they go to every answer, and new ones would redraw them all.
  const regenerateAnswer = useCallback((messageId: string) => latest.current.regenerate(messageId), []);
  const continueAnswer = useCallback((messageId: string) => latest.current.goOn(messageId), []);
  const decideCalls = useCallback((messageId: string, approvals: Approval[]) => {
    latest.current.decide(messageId, approvals);
  }, []);

  const stop = async () => {
    try {
      const { turnId } = await api.stopTurn(chatId);
      // Nothing ran but an earlier turn: the request is still on its way, so abort it here.
      const earlier = !turnId || messagesBefore.current?.some(({ metadata }) => metadata?.turnId === turnId);
      if (messagesBefore.current && earlier) {
        await chat.stop();
        rejected(new RequestError("Stopped before it was sent.", { status: 0, code: "stopped" }));
      }
    } catch (error) {
      setFailure(describeFailure(error));
    }
  };

  return {
    messages,
    beganMs: (turnId: string | undefined) => transport.beganMs(turnId),
    olderCursor,
    loadOlder,
    status,
    running: busy || unfollowed,
    pending: status === "submitted" && messages.at(-1)?.role === "user",
    away: connection === "reconnecting" || connection === "polling" || (unfollowed && refreshes > 1),
    text: draft.text,
    // Edited text is another message; only text in flight keeps its id.
    setText: (text: string) => setDraft({ text, sent: messagesBefore.current ? draft.sent : undefined }),
    failure,
    send,
    again: regenerateAnswer,
    continueAnswer,
    decideCalls,
    stop,
  };
}
