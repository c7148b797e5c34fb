import { type ComponentProps, useId } from "react";

/** A labelled input with an optional hint. */
export function Field({ label, hint, ...props }: ComponentProps<"input"> & { label: string; hint?: string }) {
  const id = useId();
  return (
    <div className="grid gap-1.5">
      <label htmlFor={id} className="text-sm font-medium">
        {label}
      </label>
      <input
        id={id}
        aria-describedby={hint ? `${id}-hint` : undefined}
        className="h-10 rounded-lg border border-line-strong bg-raised px-3 text-base outline-none focus-visible:border-water focus-visible:ring-2 focus-visible:ring-water/25 sm:text-sm"
        {...props}
      />
      {hint && (
        <p id={`${id}-hint`} className="text-xs text-ink-3">
          {hint}
        </p>
      )}
    </div>
  );
}
