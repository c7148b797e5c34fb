"use client";
import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useRef, useState } from "react";
import { v7 as newId } from "uuid";
import { api } from "@/components/api";
import type { Chat, ChatPage } from "@/packages/client/src/api";

/** Poll interval of the list while a chat in it is answering, to see it end. */
const pollMs = 3_000;

type Fresh = { id: string; started: boolean };

type Chats = {
  chats: Chat[];
  more: boolean;
  query: string;
  /** A message for people when the list could not be read or changed. */
  failure: string | null;
  search: (query: string) => void;
  refresh: () => Promise<void>;
  loadMore: () => Promise<void>;
  change: (action: () => Promise<unknown>) => Promise<boolean>;
  /** The next new chat. Once it has begun, another visit to "/" needs a new one. */
  fresh: Fresh;
  setFresh: (fresh: Fresh) => void;
};

const Context = createContext<Chats | null>(null);

export function useChats(): Chats {
  const chats = useContext(Context);
  if (!chats) throw new Error("useChats needs a ChatsProvider above it.");
  return chats;
}

/** The list of chats and its actions. The server renders the first page into the document. */
export function ChatsProvider({ first, children }: { first: ChatPage; children: ReactNode }) {
  const [page, setPage] = useState(first);
  const [query, setQuery] = useState("");
  const [failure, setFailure] = useState<string | null>(null);
  const [fresh, setFresh] = useState<Fresh>(() => ({ id: newId(), started: false }));
  const requested = useRef(0);
  const queryNow = useRef("");

  const attempt = useCallback(async (action: () => Promise<unknown>): Promise<boolean> => {
    try {
      await action();
      setFailure(null);
      return true;
    } catch (error) {
      setFailure(error instanceof Error ? error.message : "The list of chats could not be loaded.");
      return false;
    }
  }, []);

  const load = useCallback(async () => {
    const turn = ++requested.current;
    const next = await api.listChats({ q: queryNow.current || undefined });
    if (turn === requested.current) setPage(next);
  }, []);

  /** Background refresh: on failure the page keeps what it shows until the next one. */
  const refresh = useCallback(async () => {
    try {
      await load();
      setFailure(null);
    } catch (error) {
      console.warn(error);
    }
  }, [load]);

  const search = useCallback(
    (next: string) => {
      setQuery(next);
      queryNow.current = next.trim();
      void attempt(load);
    },
    [attempt, load],
  );

  const loadMore = useCallback(async () => {
    const { nextCursor } = page;
    if (!nextCursor) return;
    const turn = ++requested.current;
    await attempt(async () => {
      const next = await api.listChats({ q: queryNow.current || undefined, cursor: nextCursor });
      if (turn === requested.current) setPage({ chats: [...page.chats, ...next.chats], nextCursor: next.nextCursor });
    });
  }, [page, attempt]);

  const change = useCallback(
    async (action: () => Promise<unknown>) => {
      const done = await attempt(action);
      if (done) await refresh();
      return done;
    },
    [attempt, refresh],
  );

  const answering = page.chats.some((chat) => chat.liveTurnId);
  useEffect(() => {
    if (!answering) return;
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") void refresh();
    }, pollMs);
    return () => clearInterval(timer);
  }, [answering, refresh]);

  const value = useMemo(
    () => ({
      chats: page.chats,
      more: page.nextCursor !== null,
      query,
      failure,
      search,
      refresh,
      loadMore,
      change,
      fresh,
      setFresh,
    }),
    [page, query, failure, search, refresh, loadMore, change, fresh],
  );
  return <Context value={value}>{children}</Context>;
}
