"use client";
import { CircleUserRound, LogOut, Settings, UserRoundPlus } from "lucide-react";
import Link from "next/link";
import { useSession } from "@/components/chat/session-context";
import { IconButton } from "@/components/ui/button";
import { Menu, MenuItem, MenuSeparator } from "@/components/ui/menu";

export function AccountMenu({ signOut }: { signOut: () => Promise<void> }) {
  const { user } = useSession();
  return (
    <Menu
      align="end"
      trigger={
        <IconButton label="Account">
          <CircleUserRound />
        </IconButton>
      }
    >
      <div className="px-2.5 pt-2 pb-1.5">
        <p className="max-w-56 truncate font-medium">{user.guest ? "Guest" : (user.name ?? user.email)}</p>
        {user.guest ? (
          <p className="mt-0.5 max-w-56 text-xs text-pretty text-ink-3">This browser is the only key to your chats.</p>
        ) : (
          user.name && <p className="max-w-56 truncate text-xs text-ink-3">{user.email}</p>
        )}
      </div>
      <MenuSeparator />
      {user.guest && (
        <MenuItem asChild>
          <Link href="/sign-in?new">
            <UserRoundPlus /> Create an account
          </Link>
        </MenuItem>
      )}
      <MenuItem asChild>
        <Link href="/settings" prefetch={false}>
          <Settings /> Settings
        </Link>
      </MenuItem>
      <MenuItem onSelect={() => void signOut()}>
        <LogOut /> Sign out
      </MenuItem>
    </Menu>
  );
}
