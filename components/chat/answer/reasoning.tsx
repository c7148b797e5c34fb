import { ChevronRight } from "lucide-react";
import { memo } from "react";
import { Mark } from "@/components/ui/mark";
import { Elapsed, wholeSeconds } from "./elapsed";

type ReasoningProps = {
  text: string;
  running: boolean;
  /** By `performance.now()`; undefined when unknown, as in the first seconds. */
  sinceMs: number | undefined;
  durationMs: number | undefined;
};

export const Reasoning = memo(function Reasoning({ text, running, sinceMs, durationMs }: ReasoningProps) {
  if (!text.trim()) return null;
  return (
    <details data-part="reasoning" className="group text-sm">
      <summary className="inline-flex list-none items-center gap-2 rounded-md text-ink-3 hover:text-ink-2 [&::-webkit-details-marker]:hidden">
        {running && <Mark flowing className="size-4 text-water" />}
        <span>
          {running ? "Thinking…" : durationMs === undefined ? "Thought" : `Thought for ${wholeSeconds(durationMs)}`}
        </span>
        {running && sinceMs !== undefined && <Elapsed sinceMs={sinceMs} />}
        <ChevronRight aria-hidden="true" className="-ml-0.5 size-3.5 transition-transform group-open:rotate-90" />
      </summary>
      <p className="mt-2 border-l-2 border-line pl-3.5 leading-relaxed whitespace-pre-wrap text-ink-2">{text}</p>
    </details>
  );
});
