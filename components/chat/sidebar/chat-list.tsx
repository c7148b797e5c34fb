"use client";
import { usePathname } from "next/navigation";
import { Button } from "@/components/ui/button";
import type { Chat } from "@/packages/client/src/api";
import { ChatListItem } from "./chat-list-item";
import { useChats } from "./chats-context";

export function ChatList() {
  const { chats, more, loadMore, query, failure } = useChats();
  const path = usePathname();
  const pinned = chats.filter((chat) => chat.pinned);
  const others = chats.filter((chat) => !chat.pinned);
  return (
    <div className="min-h-0 flex-1 overflow-y-auto px-2 pb-4">
      {failure && (
        <p role="alert" className="mx-2 mb-2 text-xs text-pretty text-danger">
          {failure}
        </p>
      )}
      {chats.length === 0 && (
        <p className="px-2.5 py-2 text-[0.8125rem] text-ink-3">
          {query ? "No chat contains these words." : "Your chats will be listed here."}
        </p>
      )}
      <Group title="Pinned" chats={pinned} path={path} />
      <Group title={pinned.length > 0 ? "Others" : "Recent"} chats={others} path={path} />
      {more && (
        <Button variant="quiet" onClick={() => void loadMore()} className="mt-1 w-full text-[0.8125rem]">
          Show more
        </Button>
      )}
    </div>
  );
}

function Group({ title, chats, path }: { title: string; chats: Chat[]; path: string }) {
  if (chats.length === 0) return null;
  return (
    <section className="mb-3">
      <h2 className="px-2.5 pt-1 pb-1.5 text-xs text-ink-3">{title}</h2>
      <ul>
        {chats.map((chat) => (
          <ChatListItem key={chat.id} chat={chat} current={path === `/chat/${chat.id}`} />
        ))}
      </ul>
    </section>
  );
}
