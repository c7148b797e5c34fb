"use client";
import { clsx } from "clsx";
import { memo } from "react";
import type { Source } from "@/lib/turn/chunks";
import { visibleLine, visibleText } from "@/lib/turn/foreign-text";

type SourcesProps = {
  sources: Source[];
  /** For example "3 sources from 2 documents". */
  caption: string | undefined;
  /** The expanded ordinals. */
  open: ReadonlySet<number>;
  onToggle: (ordinal: number) => void;
  cardId: (ordinal: number) => string;
};

export const Sources = memo(function Sources({ sources, caption, open, onToggle, cardId }: SourcesProps) {
  return (
    <div className="grid grid-cols-1 gap-2">
      {caption && <p className="text-[0.8125rem] text-ink-3">{caption}</p>}
      <ol aria-label="Sources" className="flex flex-wrap gap-1.5">
        {sources.map((source) => (
          <SourceCard
            key={source.sourceId}
            source={source}
            id={cardId(source.ordinal)}
            open={open.has(source.ordinal)}
            onToggle={onToggle}
          />
        ))}
      </ol>
    </div>
  );
});

type CardProps = { source: Source; id: string; open: boolean; onToggle: (ordinal: number) => void };

function SourceCard({ source, id, open, onToggle }: CardProps) {
  const { ordinal, title, score, text, metadata } = source;
  const heading = typeof metadata.heading === "string" ? visibleLine(metadata.heading) : "";
  return (
    <li
      className={clsx(
        "max-w-full overflow-hidden rounded-lg border bg-raised transition-colors",
        open ? "w-full border-water/50" : "border-line hover:border-line-strong",
      )}
    >
      <button
        id={id}
        type="button"
        aria-expanded={open}
        aria-controls={`${id}-passage`}
        onClick={() => onToggle(ordinal)}
        className="flex min-h-8 w-full items-center gap-2 px-2.5 py-1 text-left text-[0.8125rem] focus-visible:-outline-offset-2"
      >
        <span className="font-mono text-xs text-water">[{ordinal}]</span>
        <span className={clsx("min-w-0 flex-1 font-medium", !open && "truncate")}>{visibleLine(title)}</span>
        <span className="text-xs text-ink-3 tabular-nums">{Math.round(score * 100)}%</span>
      </button>
      <div
        id={`${id}-passage`}
        hidden={!open}
        className="border-t border-line px-3 py-2.5 text-[0.8125rem] leading-relaxed"
      >
        {heading && <p className="mb-1 text-xs text-ink-3">{heading}</p>}
        <p className="max-h-56 overflow-y-auto whitespace-pre-line text-ink-2">{visibleText(text)}</p>
      </div>
    </li>
  );
}
