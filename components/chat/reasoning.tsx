import { ChevronRight } from "lucide-react";
import { memo } from "react";

export const Reasoning = memo(function Reasoning({ text, running }: { text: string; running: boolean }) {
  if (!text.trim()) return null;
  return (
    <details className="group text-sm">
      <summary className="inline-flex list-none items-center gap-1.5 rounded-md text-ink-3 hover:text-ink-2 [&::-webkit-details-marker]:hidden">
        <ChevronRight aria-hidden="true" className="size-3.5 transition-transform group-open:rotate-90" />
        {running ? "Reasoning…" : "Reasoning"}
      </summary>
      <p className="mt-2 border-l-2 border-line pl-3.5 leading-relaxed whitespace-pre-wrap text-ink-2">{text}</p>
    </details>
  );
});
