"use client";
import { createContext, useContext } from "react";

type Cite = { has: (ordinal: number) => boolean; show: (ordinal: number) => void };

/** Connects citations in an answer's text to its sources. */
export const Citations = createContext<Cite>({ has: () => false, show: () => {} });

export function CitationLink(props: Record<string, unknown>) {
  const cite = useContext(Citations);
  const ordinal = Number(props.ordinal);
  // A number without a source is the model's own bracket, not a citation.
  if (!cite.has(ordinal)) return <>[{ordinal}]</>;
  return (
    <button
      type="button"
      aria-label={`Source ${ordinal}`}
      onClick={() => cite.show(ordinal)}
      className="relative mx-0.5 inline-flex h-[1.3em] min-w-[1.3em] -translate-y-px items-center justify-center rounded-md bg-water-soft px-1 align-middle font-mono text-[0.72em] font-medium text-water tabular-nums transition-colors after:absolute after:-inset-1.5 hover:bg-water hover:text-on-water"
    >
      {ordinal}
    </button>
  );
}
