"use client";
import { ChevronDown } from "lucide-react";
import { useSession } from "@/components/chat/session-context";
import { Button } from "@/components/ui/button";
import { Menu, MenuChoice, MenuOption } from "@/components/ui/menu";
import { useModel } from "./next-turn";

/** Hidden without a choice. */
export function ModelSelect() {
  const ready = useSession().models.filter((model) => model.ready);
  const [model, setModel] = useModel();
  if (ready.length < 2) return null;
  const label = ready.find(({ id }) => id === model)?.label ?? model;
  return (
    <Menu
      side="top"
      trigger={
        <Button
          variant="quiet"
          aria-label={`Model: ${label}`}
          className="h-8! min-w-0 px-2.5! text-[0.8125rem]! font-normal"
        >
          <span className="truncate">{label}</span>
          <ChevronDown className="size-3.5! text-ink-3" />
        </Button>
      }
    >
      <MenuChoice value={model} onValueChange={setModel}>
        {ready.map(({ id, label }) => (
          <MenuOption key={id} value={id}>
            {label}
          </MenuOption>
        ))}
      </MenuChoice>
    </Menu>
  );
}
