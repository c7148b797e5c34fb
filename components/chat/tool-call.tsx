import { type DynamicToolUIPart, getToolName, type ToolUIPart } from "ai";
import { ChevronRight, Wrench } from "lucide-react";
import { Mark } from "@/components/ui/mark";

const states: Record<string, string> = {
  "input-streaming": "Preparing…",
  "input-available": "Running…",
  "approval-requested": "Waits for approval",
  "approval-responded": "Running…",
  "output-available": "Done",
  "output-error": "Failed",
  "output-denied": "Declined",
};

function words(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value, null, 2) ?? "");
}

/** A tool at work: its name and state in one line, arguments and result inside. */
export function ToolCall({ part, running }: { part: ToolUIPart | DynamicToolUIPart; running: boolean }) {
  const ended = part.state.startsWith("output-");
  return (
    <details className="group overflow-hidden rounded-lg border border-line bg-raised text-[0.8125rem]">
      <summary className="flex min-h-9 list-none items-center gap-2.5 px-3 focus-visible:-outline-offset-2 [&::-webkit-details-marker]:hidden">
        {running && !ended ? (
          <Mark flowing className="size-3.5 text-water" />
        ) : (
          <Wrench aria-hidden="true" className="size-3.5 text-ink-3" />
        )}
        <span className="min-w-0 flex-1 truncate font-mono">{getToolName(part)}</span>
        <span className={part.state === "output-error" ? "text-danger" : "text-ink-3"}>{states[part.state]}</span>
        <ChevronRight aria-hidden="true" className="size-3.5 text-ink-3 transition-transform group-open:rotate-90" />
      </summary>
      <div className="grid gap-3 border-t border-line px-3 py-3">
        <ToolData label="Arguments" value={part.input} />
        {part.state === "output-available" && <ToolData label="Result" value={part.output} />}
        {part.state === "output-error" && <p className="text-danger">{part.errorText}</p>}
      </div>
    </details>
  );
}

function ToolData({ label, value }: { label: string; value: unknown }) {
  return (
    <div>
      <p className="mb-1 text-xs text-ink-3">{label}</p>
      <pre className="max-h-64 overflow-auto rounded-md bg-bank p-2.5 font-mono text-xs whitespace-pre-wrap">
        {words(value)}
      </pre>
    </div>
  );
}
