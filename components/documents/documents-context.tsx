"use client";
import { Files } from "lucide-react";
import { createContext, type ReactNode, useCallback, useContext, useMemo, useState } from "react";
import { IconButton } from "@/components/ui/button";
import { DocumentsDialog } from "./documents-dialog";

const Context = createContext<{ open: () => void } | null>(null);

export function useDocuments() {
  const documents = useContext(Context);
  if (!documents) throw new Error("useDocuments needs a DocumentsProvider above it.");
  return documents;
}

/** The page's only documents dialog, opened from anywhere. */
export function DocumentsProvider({ children }: { children: ReactNode }) {
  const [shown, setShown] = useState(false);
  const open = useCallback(() => setShown(true), []);
  const value = useMemo(() => ({ open }), [open]);
  return (
    <Context value={value}>
      {children}
      <DocumentsDialog open={shown} onOpenChange={setShown} />
    </Context>
  );
}

export function DocumentsButton() {
  const { open } = useDocuments();
  return (
    <IconButton label="Documents" onClick={open}>
      <Files />
    </IconButton>
  );
}
