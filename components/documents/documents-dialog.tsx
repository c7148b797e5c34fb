"use client";
import { Dialog } from "@/components/ui/dialog";
import { DocumentList } from "./document-list";
import { UploadArea } from "./upload-area";
import { useDocumentList } from "./use-document-list";

type DocumentsDialogProps = { open: boolean; onOpenChange: (open: boolean) => void };

export function DocumentsDialog({ open, onOpenChange }: DocumentsDialogProps) {
  return (
    <Dialog
      open={open}
      onOpenChange={onOpenChange}
      title="Documents"
      description="What answers may cite. Only you can see them."
    >
      <Body />
    </Dialog>
  );
}

/** Mounted only while the dialog is open, so each opening loads the current list. */
function Body() {
  const { documents, loadMore, uploads, failure, upload, dismiss, remove } = useDocumentList();
  return (
    <div className="min-h-0 overflow-y-auto px-5 pb-5">
      <UploadArea uploads={uploads} onFiles={upload} onDismiss={dismiss} />
      {failure && (
        <p role="alert" className="mt-3 rounded-lg bg-danger-soft px-3.5 py-2.5 text-sm text-danger">
          {failure}
        </p>
      )}
      <DocumentList documents={documents} onRemove={remove} onMore={loadMore} />
    </div>
  );
}
