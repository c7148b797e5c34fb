"use client";
import { useCallback } from "react";
import { useSession } from "@/components/chat/session-context";
import { useLocalStorage } from "@/components/ui/local-storage";
import type { SearchMode } from "@/lib/turn/chunks";

export type DocumentScope = { mode: SearchMode; documentIds: string[] };

const modes: SearchMode[] = ["all", "selected", "none"];

function acceptScope(stored: unknown): DocumentScope {
  const { mode, documentIds } = (stored ?? {}) as Partial<DocumentScope>;
  return {
    mode: modes.find((each) => each === mode) ?? "all",
    documentIds: Array.isArray(documentIds) ? documentIds.filter((id) => typeof id === "string") : [],
  };
}

/** Which documents the next question searches. */
export function useScope(): [DocumentScope, (next: DocumentScope) => void] {
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
