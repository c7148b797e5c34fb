"use client";
import { Trash2 } from "lucide-react";
import { useState } from "react";
import { useScope } from "@/components/chat/composer/next-turn";
import { IconButton } from "@/components/ui/button";
import { Confirm } from "@/components/ui/confirm";
import { MoreButton } from "@/components/ui/more-button";
import type { Document } from "@/packages/client/src/api";
import { ScopeChoice } from "./scope-choice";

type DocumentListProps = {
  documents: Document[] | null;
  onRemove: (id: string) => Promise<void>;
  /** Null when all are shown. */
  onMore: (() => Promise<void>) | null;
};

export function DocumentList({ documents, onRemove, onMore }: DocumentListProps) {
  const [scope, setScope] = useScope();
  const [deleting, setDeleting] = useState<Document | null>(null);
  if (!documents)
    return (
      <p role="status" className="py-6 text-sm text-ink-3">
        Loading documents…
      </p>
    );
  if (documents.length === 0)
    return <p className="py-6 text-sm text-ink-3">No documents. Answers come from the model alone.</p>;

  const select = (id: string, on: boolean) => {
    const others = scope.documentIds.filter((each) => each !== id);
    setScope({ ...scope, documentIds: on ? [...others, id] : others });
  };
  const remove = async ({ id }: Document) => {
    await onRemove(id);
    setScope({ ...scope, documentIds: scope.documentIds.filter((each) => each !== id) });
  };
  return (
    <>
      <ScopeChoice scope={scope} onScope={setScope} />
      <ul className="mt-2 divide-y divide-line">
        {documents.map((document) => (
          <DocumentRow
            key={document.id}
            document={document}
            selected={scope.mode === "selected" ? scope.documentIds.includes(document.id) : null}
            onSelect={(on) => select(document.id, on)}
            onDelete={() => setDeleting(document)}
          />
        ))}
      </ul>
      {onMore && <MoreButton onMore={onMore} label="Load older documents" />}
      <Confirm
        open={deleting !== null}
        onOpenChange={(open) => !open && setDeleting(null)}
        title="Delete this document?"
        description={`“${deleting?.title ?? ""}” will no longer be found. Answers that cited it keep their text and sources.`}
        action="Delete"
        onConfirm={() => deleting && void remove(deleting)}
      />
    </>
  );
}

type DocumentRowProps = {
  document: Document;
  /** Null while selection is not possible. */
  selected: boolean | null;
  onSelect: (on: boolean) => void;
  onDelete: () => void;
};

function DocumentRow({ document, selected, onSelect, onDelete }: DocumentRowProps) {
  const { title, bytes, passageCount, sample } = document;
  const words = (
    <span className="min-w-0 flex-1">
      <span className="flex items-center gap-2 text-sm">
        <span className="truncate font-medium">{title}</span>
        {sample && (
          <span className="shrink-0 rounded bg-water-soft px-1.5 py-px text-[0.6875rem] text-water">Sample</span>
        )}
      </span>
      <span className="mt-0.5 block text-xs text-ink-3 tabular-nums">
        {size(bytes)} · {passageCount === 1 ? "1 passage" : `${passageCount} passages`}
      </span>
    </span>
  );
  return (
    <li className="flex min-h-14 items-center gap-3 py-1.5">
      {selected === null ? (
        words
      ) : (
        <label className="flex min-w-0 flex-1 cursor-pointer items-center gap-3">
          <input
            type="checkbox"
            checked={selected}
            onChange={(event) => onSelect(event.target.checked)}
            className="size-4 shrink-0 accent-water"
          />
          {words}
        </label>
      )}
      <IconButton label={`Delete ${title}`} onClick={onDelete} className="-mr-2 text-ink-3">
        <Trash2 />
      </IconButton>
    </li>
  );
}

function size(bytes: number): string {
  if (bytes < 1024) return `${bytes} bytes`;
  if (bytes < 1024 * 1024) return `${(bytes / 1024).toFixed(1)} KB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}
