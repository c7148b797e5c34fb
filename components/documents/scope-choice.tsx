"use client";
import type { DocumentScope } from "@/components/chat/composer/next-turn";
import type { SearchMode } from "@/lib/turn/chunks";

const choices: { mode: SearchMode; label: string }[] = [
  { mode: "all", label: "All" },
  { mode: "selected", label: "Selected" },
  { mode: "none", label: "None" },
];

/** The composer's choice, here next to the documents' own checkboxes. */
export function ScopeChoice({ scope, onScope }: { scope: DocumentScope; onScope: (next: DocumentScope) => void }) {
  return (
    <fieldset className="mt-5 flex items-center gap-3">
      <legend className="float-left text-sm text-ink-2">Answers search</legend>
      <div className="inline-flex rounded-lg border border-line p-0.5">
        {choices.map(({ mode, label }) => (
          <label
            key={mode}
            className="cursor-pointer rounded-md px-2.5 py-1 text-[0.8125rem] text-ink-2 has-checked:bg-water-soft has-checked:font-medium has-checked:text-water-strong has-focus-visible:outline-2 has-focus-visible:outline-water"
          >
            <input
              type="radio"
              name="scope"
              checked={scope.mode === mode}
              onChange={() => onScope({ ...scope, mode })}
              className="sr-only"
            />
            {label}
          </label>
        ))}
      </div>
    </fieldset>
  );
}
