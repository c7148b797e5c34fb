import { type DynamicToolUIPart, getToolName, type ToolUIPart } from "ai";
import { ChevronRight, Wrench } from "lucide-react";
import type { ReactNode } from "react";
import { Mark } from "@/components/ui/mark";
import { visibleLine, visibleText } from "@/lib/turn/foreign-text";
import { gistOf, ToolData } from "./tool-data";

const states: Record<string, string> = {
  "input-streaming": "Preparing…",
  "input-available": "Running…",
  "approval-requested": "Waits for approval",
  "approval-responded": "Running…",
  "output-available": "Done",
  "output-error": "Failed",
  "output-denied": "Declined",
};

/** A tool at work: its name, what it is about and its state in one line, arguments and result inside. */
export function ToolCall({ part, running }: { part: ToolUIPart | DynamicToolUIPart; running: boolean }) {
  const ended = part.state.startsWith("output-");
  const name = visibleLine(getToolName(part));
  // Of a call that could not be read there is only its text.
  const input = part.input ?? ("rawInput" in part ? part.rawInput : undefined);
  return (
    <details
      data-part="tool"
      className="group overflow-hidden rounded-lg border border-line bg-raised text-[0.8125rem]"
    >
      <summary className="flex min-h-9 list-none items-center gap-2.5 px-3 focus-visible:-outline-offset-2 [&::-webkit-details-marker]:hidden">
        {running && !ended ? (
          <Mark flowing className="size-3.5 text-water" />
        ) : (
          <Wrench aria-hidden="true" className="size-3.5 shrink-0 text-ink-3" />
        )}
        <span className="shrink-0 font-mono">{name}</span>
        <span className="min-w-0 flex-1 truncate text-ink-2">{gistOf(input, part.output)}</span>
        <span className={part.state === "output-error" ? "text-danger" : "text-ink-3"}>{states[part.state]}</span>
        <ChevronRight aria-hidden="true" className="size-3.5 text-ink-3 transition-transform group-open:rotate-90" />
      </summary>
      <div className="grid gap-3 border-t border-line px-3 py-3">
        <Section label="Arguments">
          <ToolData value={input} />
        </Section>
        {part.state === "output-available" && (
          <Section label="Result">
            <ToolData value={part.output} />
          </Section>
        )}
        {part.state === "output-error" && <p className="wrap-anywhere text-danger">{visibleText(part.errorText)}</p>}
      </div>
    </details>
  );
}

function Section({ label, children }: { label: string; children: ReactNode }) {
  return (
    <section aria-label={label}>
      <h3 className="mb-1 text-xs text-ink-3">{label}</h3>
      <div className="max-h-64 overflow-auto rounded-md bg-bank px-2.5 py-2">{children}</div>
    </section>
  );
}
