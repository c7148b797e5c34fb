"use client";
import { clsx } from "clsx";
import { X } from "lucide-react";
import { Dialog as Primitive } from "radix-ui";
import type { ReactNode } from "react";
import { Button } from "./button";

type DialogProps = {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  title: string;
  description: string;
  className?: string;
  children: ReactNode;
};

/** A dialog with a title, a sentence and a close button; on phones a bottom sheet. */
export function Dialog({ open, onOpenChange, title, description, className, children }: DialogProps) {
  return (
    <Primitive.Root open={open} onOpenChange={onOpenChange}>
      <Primitive.Portal>
        <Primitive.Overlay className="fixed inset-0 z-40 bg-black/35" />
        <Primitive.Content
          className={clsx(
            "fixed inset-x-0 bottom-0 z-40 flex max-h-[88dvh] flex-col rounded-t-2xl border border-line bg-paper shadow-float outline-none",
            "motion-safe:animate-[appear_160ms_ease-out] sm:inset-auto sm:top-1/2 sm:left-1/2 sm:w-[calc(100%-3rem)] sm:max-w-xl sm:-translate-1/2 sm:rounded-2xl",
            className,
          )}
        >
          <header className="flex items-start gap-4 px-5 pt-4 pb-3">
            <div className="min-w-0 flex-1">
              <Primitive.Title className="text-base font-semibold tracking-[-0.01em]">{title}</Primitive.Title>
              <Primitive.Description className="mt-1 text-sm text-pretty text-ink-2">
                {description}
              </Primitive.Description>
            </div>
            <Primitive.Close asChild>
              {/* No tooltip: it would consume the first Escape. */}
              <Button variant="quiet" aria-label="Close" className="-mt-1 -mr-2 size-9 px-0">
                <X />
              </Button>
            </Primitive.Close>
          </header>
          {children}
        </Primitive.Content>
      </Primitive.Portal>
    </Primitive.Root>
  );
}
