"use client";
import { Menu as MenuIcon, X } from "lucide-react";
import { usePathname } from "next/navigation";
import { Dialog } from "radix-ui";
import { type ReactNode, useEffect, useState } from "react";
import { AccountMenu } from "@/components/chat/sidebar/account-menu";
import { useChats } from "@/components/chat/sidebar/chats-context";
import { Sidebar } from "@/components/chat/sidebar/sidebar";
import { DocumentsButton } from "@/components/documents/documents-context";
import { Button, IconButton } from "@/components/ui/button";
import { ThemeToggle } from "@/components/ui/theme-toggle";

/** The frame around a conversation: chats at the side (a drawer on phones), controls on top. */
export function Shell({ signOut, children }: { signOut: () => Promise<void>; children: ReactNode }) {
  return (
    <div className="flex h-dvh overflow-hidden">
      <aside className="hidden w-68 shrink-0 border-r border-line bg-bank md:block">
        <Sidebar />
      </aside>
      <main className="flex min-w-0 flex-1 flex-col">
        <header className="flex h-14 shrink-0 items-center gap-1 px-2 sm:px-4">
          <Drawer />
          <Title />
          <DocumentsButton />
          <ThemeToggle />
          <AccountMenu signOut={signOut} />
        </header>
        {children}
      </main>
    </div>
  );
}

function Title() {
  const path = usePathname();
  const title = useChats().chats.find(({ id }) => path === `/chat/${id}`)?.title;
  useEffect(() => {
    // A chat that began on this page has no metadata of its own yet.
    if (title) document.title = `${title} · Rivulet`;
  }, [title]);
  return <p className="min-w-0 flex-1 truncate px-1.5 text-sm text-ink-2">{title}</p>;
}

function Drawer() {
  const [open, setOpen] = useState(false);
  return (
    <Dialog.Root open={open} onOpenChange={setOpen}>
      <Dialog.Trigger asChild>
        <IconButton label="Open chats" className="md:hidden">
          <MenuIcon />
        </IconButton>
      </Dialog.Trigger>
      <Dialog.Portal>
        <Dialog.Overlay className="fixed inset-0 z-40 bg-black/35 md:hidden" />
        <Dialog.Content
          aria-describedby={undefined}
          // Focusing the first field would open a phone's keyboard.
          onOpenAutoFocus={(event) => {
            event.preventDefault();
            (event.currentTarget as HTMLElement).focus();
          }}
          // Following a link closes the list.
          onClick={(event) => {
            if ((event.target as Element).closest("a")) setOpen(false);
          }}
          className="fixed inset-y-0 left-0 z-40 w-[min(20rem,86vw)] border-r border-line bg-bank shadow-float outline-none motion-safe:animate-[slide-in_180ms_ease-out] md:hidden"
        >
          <Dialog.Title className="sr-only">Your chats</Dialog.Title>
          <Sidebar />
          <Dialog.Close asChild>
            <Button variant="quiet" aria-label="Close chats" className="absolute! top-2.5 right-2 size-9 px-0">
              <X />
            </Button>
          </Dialog.Close>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
