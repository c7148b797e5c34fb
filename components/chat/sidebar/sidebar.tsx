"use client";
import { Search, SquarePen } from "lucide-react";
import Link from "next/link";
import { useEffect, useState } from "react";
import { Wordmark } from "@/components/ui/mark";
import { ChatList } from "./chat-list";
import { useChats } from "./chats-context";

/** Search debounce. */
const settleMs = 200;

export function Sidebar() {
  return (
    <nav aria-label="Chats" className="flex h-full min-h-0 flex-col">
      <div className="flex h-14 shrink-0 items-center px-4.5">
        <Wordmark />
      </div>
      <div className="grid gap-1.5 px-2 pb-3">
        <Link
          href="/"
          prefetch={false}
          className="flex h-10 items-center gap-2.5 rounded-lg px-2.5 text-sm font-medium transition-colors hover:bg-hover md:h-9"
        >
          <SquarePen aria-hidden="true" className="size-4 text-water" />
          New chat
        </Link>
        <SearchField />
      </div>
      <ChatList />
    </nav>
  );
}

function SearchField() {
  const { query, search } = useChats();
  const [text, setText] = useState(query);
  useEffect(() => {
    if (text === query) return;
    const timer = setTimeout(() => search(text), settleMs);
    return () => clearTimeout(timer);
  }, [text, query, search]);
  return (
    <div className="relative">
      <Search aria-hidden="true" className="absolute top-1/2 left-2.5 size-4 -translate-y-1/2 text-ink-3" />
      <input
        type="search"
        aria-label="Search chats"
        placeholder="Search"
        value={text}
        onChange={(event) => setText(event.target.value)}
        className="h-10 w-full rounded-lg border border-transparent bg-transparent pr-2 pl-9 text-base outline-none hover:bg-hover focus:border-line-strong focus:bg-raised md:h-9 md:text-sm"
      />
    </div>
  );
}
