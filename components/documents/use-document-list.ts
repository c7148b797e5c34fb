"use client";
import { useCallback, useEffect, useRef, useState } from "react";
import { api } from "@/components/api";
import type { Document } from "@/packages/client/src/api";

export type Upload = { key: string; name: string; error: string | null };

/** Larger than any text a person writes, small enough to read at once; the server decides. */
const maxBytes = 5 * 1024 * 1024;
const wanted = /\.(txt|md|markdown)$/i;

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : "The server cannot be reached.";
}

function refusal(file: File): string | null {
  if (!wanted.test(file.name)) return "Only .txt and .md files can be read.";
  if (file.size === 0) return "The file is empty.";
  if (file.size > maxBytes) return "The file is larger than 5 MB.";
  return null;
}

export function useDocumentList() {
  const [documents, setDocuments] = useState<Document[] | null>(null);
  const [nextCursor, setNextCursor] = useState<string | null>(null);
  const [uploads, setUploads] = useState<Upload[]>([]);
  const [failure, setFailure] = useState<string | null>(null);

  const requested = useRef(0);

  /** The list always comes from the server; of concurrent loads only the latest counts. */
  const load = useCallback(async () => {
    const turn = ++requested.current;
    try {
      const first = await api.listDocuments();
      if (turn !== requested.current) return;
      setDocuments(first.documents);
      setNextCursor(first.nextCursor);
    } catch (error) {
      if (turn === requested.current) setFailure(wordsOf(error));
    }
  }, []);

  useEffect(() => {
    void load();
  }, [load]);

  const loadMore = async () => {
    if (!nextCursor) return;
    const turn = requested.current;
    setFailure(null);
    try {
      const next = await api.listDocuments({ cursor: nextCursor });
      // The list was reloaded meanwhile.
      if (turn !== requested.current) return;
      setDocuments((now) => [...(now ?? []), ...next.documents]);
      setNextCursor(next.nextCursor);
    } catch (error) {
      setFailure(wordsOf(error));
    }
  };

  const dismiss = useCallback((key: string) => setUploads((now) => now.filter((upload) => upload.key !== key)), []);

  const upload = useCallback(
    async (files: File[]) => {
      const stamp = Date.now();
      const batch = files.map((file, index) => ({
        file,
        key: `${stamp}-${index}`,
        name: file.name,
        error: refusal(file),
      }));
      setUploads((now) => [...now, ...batch.map(({ key, name, error }) => ({ key, name, error }))]);
      // Sequential: the server indexes each, and the list keeps the selection's order.
      for (const { file, key, error } of batch) {
        if (error) continue;
        try {
          await api.uploadDocument(file);
          await load();
          dismiss(key);
        } catch (cause) {
          setUploads((now) => now.map((each) => (each.key === key ? { ...each, error: wordsOf(cause) } : each)));
        }
      }
    },
    [dismiss, load],
  );

  const remove = useCallback(
    async (id: string) => {
      setFailure(null);
      try {
        await api.deleteDocument(id);
        await load();
      } catch (error) {
        setFailure(wordsOf(error));
      }
    },
    [load],
  );

  return { documents, loadMore: nextCursor ? loadMore : null, uploads, failure, upload, dismiss, remove };
}
