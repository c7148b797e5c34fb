"use client";
import { clsx } from "clsx";
import { FileUp, X } from "lucide-react";
import { type DragEvent, useId, useState } from "react";
import { IconButton } from "@/components/ui/button";
import type { Upload } from "./use-document-list";

type UploadAreaProps = { uploads: Upload[]; onFiles: (files: File[]) => void; onDismiss: (key: string) => void };

export function UploadArea({ uploads, onFiles, onDismiss }: UploadAreaProps) {
  const id = useId();
  const [isDragOver, setOver] = useState(false);
  const onDrop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    onFiles([...event.dataTransfer.files]);
  };
  return (
    <>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: dropping is a shortcut; the field inside does the same. */}
      <div
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={onDrop}
        className={clsx(
          "relative flex items-center gap-3.5 rounded-xl border border-dashed px-4 py-3.5 transition-colors focus-within:outline-2 focus-within:outline-offset-2 focus-within:outline-water",
          isDragOver ? "border-water bg-water-soft" : "border-line-strong hover:bg-hover",
        )}
      >
        <FileUp aria-hidden="true" className="size-5 shrink-0 text-water" />
        <div className="min-w-0 text-sm">
          <label htmlFor={id} className="font-medium">
            Upload a document
          </label>
          <p className="text-ink-3">Choose .txt or .md files, or drop them here</p>
        </div>
        <input
          id={id}
          type="file"
          multiple
          accept=".txt,.md,.markdown,text/plain,text/markdown"
          onChange={(event) => {
            onFiles([...(event.target.files ?? [])]);
            event.target.value = "";
          }}
          className="absolute inset-0 cursor-pointer opacity-0"
        />
      </div>
      <ul aria-live="polite" className="grid not-empty:mt-3">
        {uploads.map((upload) => (
          <li key={upload.key} className="relative flex min-h-10 items-center gap-3 text-sm">
            <span className="min-w-0 flex-1">
              <span className="block truncate">{upload.name}</span>
              {upload.error && <span className="block text-xs text-danger">{upload.error}</span>}
            </span>
            {upload.error ? (
              <IconButton label={`Dismiss ${upload.name}`} onClick={() => onDismiss(upload.key)} className="size-8!">
                <X />
              </IconButton>
            ) : (
              <>
                <span className="text-xs text-ink-3">Uploading…</span>
                <progress aria-label={`Uploading ${upload.name}`} className="h-1 w-24 accent-water" />
              </>
            )}
          </li>
        ))}
      </ul>
    </>
  );
}
