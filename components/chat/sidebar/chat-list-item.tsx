"use client";
import { clsx } from "clsx";
import { MoreHorizontal, Pencil, Pin, PinOff, Trash2 } from "lucide-react";
import Link from "next/link";
import { useRouter } from "next/navigation";
import { useState } from "react";
import { api } from "@/components/api";
import { Button } from "@/components/ui/button";
import { Confirm } from "@/components/ui/confirm";
import { Mark } from "@/components/ui/mark";
import { Menu, MenuItem } from "@/components/ui/menu";
import type { Chat } from "@/packages/client/src/api";
import { useChats } from "./chats-context";
import { RenameField } from "./rename-field";

export function ChatListItem({ chat, current }: { chat: Chat; current: boolean }) {
  const { id, title, pinned, liveTurnId } = chat;
  const { change } = useChats();
  const router = useRouter();
  const [renaming, setRenaming] = useState(false);
  const [deleting, setDeleting] = useState(false);

  const remove = async () => {
    if ((await change(() => api.deleteChat(id))) && current) router.push("/");
  };

  if (renaming)
    return (
      <li>
        <RenameField
          title={title}
          onDone={(next) => {
            setRenaming(false);
            if (next && next !== title) void change(() => api.renameChat(id, next));
          }}
        />
      </li>
    );

  return (
    <li
      className={clsx(
        "group flex items-center rounded-lg transition-colors focus-within:bg-hover hover:bg-hover",
        current && "bg-hover font-medium",
      )}
    >
      <Link
        href={`/chat/${id}`}
        aria-current={current ? "page" : undefined}
        prefetch={false}
        className="min-w-0 flex-1 truncate rounded-lg py-2 pl-2.5 text-sm md:py-1.5"
      >
        {title}
      </Link>
      {liveTurnId && (
        <span title="Answering" className="ml-1.5 text-water">
          <Mark flowing className="size-3.5" />
          <span className="sr-only">Answering</span>
        </span>
      )}
      <Menu
        align="end"
        trigger={
          <Button
            variant="quiet"
            aria-label={`Options for ${title}`}
            className="size-8! shrink-0 px-0! hover:bg-transparent md:opacity-0 md:group-focus-within:opacity-100 md:group-hover:opacity-100 md:data-[state=open]:opacity-100"
          >
            <MoreHorizontal />
          </Button>
        }
      >
        <MenuItem onSelect={() => setRenaming(true)}>
          <Pencil /> Rename
        </MenuItem>
        <MenuItem onSelect={() => void change(() => api.pinChat(id, !pinned))}>
          {pinned ? <PinOff /> : <Pin />} {pinned ? "Unpin" : "Pin"}
        </MenuItem>
        <MenuItem danger onSelect={() => setDeleting(true)}>
          <Trash2 /> Delete
        </MenuItem>
      </Menu>
      <Confirm
        open={deleting}
        onOpenChange={setDeleting}
        title="Delete this chat?"
        description={`“${title}” and all its answers will be gone for good.`}
        action="Delete"
        onConfirm={() => void remove()}
      />
    </li>
  );
}
