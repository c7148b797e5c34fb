"use client";
import { type KeyboardEvent, useEffect, useRef } from "react";

/** Enter or blur accepts the title, Escape keeps the old one. */
export function RenameField({ title, onDone }: { title: string; onDone: (next: string | null) => void }) {
  const field = useRef<HTMLInputElement>(null);
  const done = useRef(false);
  const end = (next: string | null) => {
    if (done.current) return;
    done.current = true;
    onDone(next);
  };
  useEffect(() => {
    // The menu that opened this returns the focus to its button first.
    const frame = requestAnimationFrame(() => field.current?.select());
    return () => cancelAnimationFrame(frame);
  }, []);
  const onKeyDown = (event: KeyboardEvent<HTMLInputElement>) => {
    if (event.nativeEvent.isComposing) return;
    if (event.key === "Enter") end(event.currentTarget.value.trim());
    if (event.key === "Escape") {
      event.stopPropagation();
      end(null);
    }
  };
  return (
    <input
      ref={field}
      aria-label="Title"
      defaultValue={title}
      maxLength={200}
      onKeyDown={onKeyDown}
      onBlur={(event) => end(event.currentTarget.value.trim())}
      className="my-px w-full rounded-lg border border-water bg-raised px-2 py-1.5 text-base outline-none md:text-sm"
    />
  );
}
