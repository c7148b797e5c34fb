"use client";
import { useCallback, useEffect, useState } from "react";
import { api } from "@/components/api";
import type { Document } from "@/lib/client/api";

export type Upload = { key: string; name: string; error: string | null };

/** Larger than any text a person writes, small enough to be read in one go; the server has the last word. */
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
  const [uploads, setUploads] = useState<Upload[]>([]);
  const [failure, setFailure] = useState<string | null>(null);

  const load = useCallback(async (signal?: AbortSignal) => {
    try {
      setDocuments(await api.listDocuments({ signal }));
      setFailure(null);
    } catch (error) {
      if (!signal?.aborted) setFailure(wordsOf(error));
    }
  }, []);

  useEffect(() => {
    const leaving = new AbortController();
    void load(leaving.signal);
    return () => leaving.abort();
  }, [load]);

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
      // One after the other: the server reads and indexes each, and the order of the list stays that of the choice.
      for (const { file, key, error } of batch) {
        if (error) continue;
        try {
          const document = await api.uploadDocument(file);
          setDocuments((now) => [document, ...(now ?? []).filter(({ id }) => id !== document.id)]);
          dismiss(key);
        } catch (cause) {
          setUploads((now) => now.map((each) => (each.key === key ? { ...each, error: wordsOf(cause) } : each)));
        }
      }
    },
    [dismiss],
  );

  const remove = useCallback(async (id: string) => {
    try {
      await api.deleteDocument(id);
      setDocuments((now) => now?.filter((document) => document.id !== id) ?? null);
      setFailure(null);
    } catch (error) {
      setFailure(wordsOf(error));
    }
  }, []);

  return { documents, uploads, failure, upload, dismiss, remove };
}
