"use client";
import { ChevronDown, FileSearch } from "lucide-react";
import { useDocuments } from "@/components/documents/documents-context";
import { Button } from "@/components/ui/button";
import { Menu, MenuChoice, MenuItem, MenuLabel, MenuOption, MenuSeparator } from "@/components/ui/menu";
import type { SearchMode } from "@/lib/turn/chunks";
import { useScope } from "./next-turn";

/** Which documents the next question searches. */
export function ScopeSelect() {
  const [scope, setScope] = useScope();
  const { open } = useDocuments();
  const count = scope.documentIds.length;
  const labels: Record<SearchMode, string> = {
    all: "Search all",
    selected: `Search ${count} selected`,
    none: "No search",
  };
  const choose = (mode: string) => {
    setScope({ ...scope, mode: mode as SearchMode });
    if (mode === "selected" && count === 0) open();
  };
  return (
    <Menu
      side="top"
      trigger={
        <Button variant="quiet" className="h-8! min-w-0 px-2.5! text-[0.8125rem]! font-normal">
          <FileSearch className="size-3.5! text-ink-3" />
          <span className="truncate">{labels[scope.mode]}</span>
          <ChevronDown className="size-3.5! text-ink-3" />
        </Button>
      }
    >
      <MenuLabel>Answers search</MenuLabel>
      <MenuChoice value={scope.mode} onValueChange={choose}>
        <MenuOption value="all">All documents</MenuOption>
        <MenuOption value="selected" detail={count > 0 ? `${count} selected` : undefined}>
          Selected documents
        </MenuOption>
        <MenuOption value="none">No documents</MenuOption>
      </MenuChoice>
      <MenuSeparator />
      <MenuItem onSelect={open}>Choose documents…</MenuItem>
    </Menu>
  );
}
