"use client";
import { useCallback } from "react";
import { useSession } from "@/components/chat/session";
import { useLocalStorage } from "@/components/ui/local-storage";
import type { SearchMode } from "@/lib/turn/chunks";

export type Scope = { mode: SearchMode; documentIds: string[] };

const modes: SearchMode[] = ["all", "selected", "none"];

function acceptScope(stored: unknown): Scope {
  const { mode, documentIds } = (stored ?? {}) as Partial<Scope>;
  return {
    mode: modes.find((each) => each === mode) ?? "all",
    documentIds: Array.isArray(documentIds) ? documentIds.filter((id) => typeof id === "string") : [],
  };
}

/** Which documents the next question searches. */
export function useScope(): [Scope, (next: Scope) => void] {
  const { user } = useSession();
  return useLocalStorage(`rivulet.${user.id}.scope`, acceptScope);
}

/** Which model answers the next question. Falls back to the server's default if it is gone. */
export function useModel(): [string, (next: string) => void] {
  const { user, models, defaultModel } = useSession();
  const accept = useCallback(
    (stored: unknown) => models.find(({ id, ready }) => ready && id === stored)?.id ?? defaultModel,
    [models, defaultModel],
  );
  return useLocalStorage(`rivulet.${user.id}.model`, accept);
}
