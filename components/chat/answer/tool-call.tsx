import { type DynamicToolUIPart, getToolName, type ToolUIPart } from "ai";
import { ChevronRight, ShieldQuestion, Wrench } from "lucide-react";
import type { ReactNode } from "react";
import { Button } from "@/components/ui/button";
import { Mark } from "@/components/ui/mark";
import { visibleLine, visibleText } from "@/lib/turn/foreign-text";
import type { ConsentDecisions } from "./consent";
import { summaryOf, ToolData } from "./tool-data";

const states: Record<string, string> = {
  "input-streaming": "Preparing…",
  "input-available": "Running…",
  "approval-requested": "Needs your consent",
  "approval-responded": "Running…",
  "output-available": "Done",
  "output-error": "Failed",
  "output-denied": "Declined",
};

type ToolCallProps = {
  part: ToolUIPart | DynamicToolUIPart;
  running: boolean;
  /** Null when no decision is possible, or not yet. */
  consent: ConsentDecisions | null;
};

/** A tool call: name, gist and state on one line, arguments and result inside. */
export function ToolCallPanel({ part, running, consent }: ToolCallProps) {
  const ended = part.state.startsWith("output-");
  const name = visibleLine(getToolName(part));
  // A call that could not be parsed has only its raw text.
  const input = part.input ?? ("rawInput" in part ? part.rawInput : undefined);
  const asks = part.state === "approval-requested";
  return (
    <div data-part="tool" className="overflow-hidden rounded-lg border border-line bg-raised text-[0.8125rem]">
      <details className="group">
        <summary className="flex min-h-9 list-none items-center gap-2.5 px-3 focus-visible:-outline-offset-2 [&::-webkit-details-marker]:hidden">
          {running && !ended && !asks ? (
            <Mark flowing className="size-3.5 text-water" />
          ) : (
            <Wrench aria-hidden="true" className="size-3.5 shrink-0 text-ink-3" />
          )}
          <span className="shrink-0 font-mono">{name}</span>
          <span className="min-w-0 flex-1 truncate text-ink-2">{summaryOf(input, part.output)}</span>
          <span className={part.state === "output-error" ? "text-danger" : "text-ink-3"}>
            {asks && !consent ? "Not run" : states[part.state]}
          </span>
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
          {part.state === "output-denied" && <p className="wrap-anywhere text-ink-3">{part.approval.reason}</p>}
        </div>
      </details>
      {asks && consent && <Request {...part.approval} name={name} consent={consent} />}
    </div>
  );
}

type RequestProps = { id: string; requestReason?: string; name: string; consent: ConsentDecisions };

function Request({ id, requestReason, name, consent }: RequestProps) {
  const decided = consent.decided(id);
  return (
    <section aria-label={`Consent to ${name}`} className="border-t border-line bg-bank px-3 py-3">
      <div className="flex gap-2.5">
        <ShieldQuestion aria-hidden="true" className="mt-0.5 size-4 shrink-0 text-water" />
        <div className="min-w-0">
          <p className="font-medium wrap-anywhere">{requestReason ? visibleLine(requestReason) : `Run ${name}?`}</p>
          <p className="mt-0.5 text-pretty text-ink-2">
            This cannot be undone. Text from documents or other sources is part of this conversation and may have led
            the model to this call. Nothing happens until you allow it.
          </p>
        </div>
      </div>
      <div className="mt-3 flex flex-wrap items-center justify-end gap-2">
        {decided === undefined ? (
          <>
            <Button onClick={() => consent.decide(id, false)}>Deny</Button>
            <Button variant="danger" onClick={() => consent.decide(id, true)}>
              Allow
            </Button>
          </>
        ) : (
          <p role="status" className="text-ink-3">
            {decided ? "Allowed." : "Denied."} Decide on the other calls as well.
          </p>
        )}
      </div>
    </section>
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
