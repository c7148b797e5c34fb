import { clsx } from "clsx";
import { Check } from "lucide-react";
import { Mark } from "@/components/ui/mark";
import type { ChatMessage, StatusData } from "@/lib/turn/chunks";
import { Elapsed } from "./elapsed";
import { endingOf } from "./endings";

export function statuses(message: ChatMessage): StatusData[] {
  return message.parts.flatMap((part) => (part.type === "data-status" ? [part.data as StatusData] : []));
}

/** When the model's current step began (`performance.now()`), once reported as slow. */
export function waitingSince(message: ChatMessage, beganMs: number | undefined): number | undefined {
  const generating = statuses(message).find(({ stage, state }) => stage === "generate" && state === "active");
  return generating?.sinceMs === undefined || beganMs === undefined ? undefined : beganMs + generating.sinceMs;
}

type AnswerStatusProps = {
  message: ChatMessage;
  live: boolean;
  writes: boolean;
  /** When the turn began (`performance.now()`). */
  beganMs: number | undefined;
};

/**
 * The stages so far, finished ones with their result: a search may take less than a frame and must
 * still be visible. Announces stages only, never tokens: one sentence when a stage begins and one
 * at the end.
 */
export function AnswerStatus({ message, live, writes, beganMs }: AnswerStatusProps) {
  const ending = endingOf(message);
  if (!live && ending) return null;
  const stages = statuses(message);
  const waiting = stages.find(({ sinceMs, state }) => sinceMs !== undefined && state === "active");
  // Visible reasoning already says that the model thinks, and for how long.
  const reasons = message.parts.some(
    (part) => part.type === "reasoning" && part.state === "streaming" && part.text.trim() !== "",
  );
  const sinceMs = reasons ? undefined : waitingSince(message, beganMs);
  // The list of sources says it better.
  const listed = message.parts.some((part) => part.type === "source-document");
  return (
    <div role="status" className={clsx("grid gap-1 text-sm text-ink-3", (ending || reasons) && "sr-only")}>
      {ending ? (
        ending.announced
      ) : message.metadata?.continues ? (
        <Stage label="Continuing…" detail={reasons ? undefined : waiting?.label} writes={writes} sinceMs={sinceMs} />
      ) : stages.length === 0 ? (
        <Stage label="Waiting for the server…" />
      ) : (
        stages.map(({ stage, label, state, detail }) => (
          <Stage
            key={stage}
            label={label}
            state={state}
            detail={listed ? undefined : detail}
            writes={writes}
            sinceMs={stage === "generate" ? sinceMs : undefined}
          />
        ))
      )}
    </div>
  );
}

type StageProps = Pick<StatusData, "label"> &
  Partial<Pick<StatusData, "state" | "detail">> & { writes?: boolean; sinceMs?: number | undefined };

function Stage({ label, state = "active", detail, writes, sinceMs }: StageProps) {
  return (
    <p className="flex items-center gap-2">
      {state === "done" ? (
        <Check aria-hidden className="size-4 text-water" />
      ) : (
        <Mark flowing className={clsx("size-4 text-water", writes && "opacity-70")} />
      )}
      <span>
        {label}
        {detail && <span className="text-ink-2"> {detail}</span>}
      </span>
      {sinceMs !== undefined && <Elapsed sinceMs={sinceMs} />}
    </p>
  );
}

/** Placeholder for a requested answer that has not begun. */
export function PendingAnswer() {
  return (
    <article aria-label="Answer" data-status="running">
      <p role="status" className="flex items-center gap-2 text-sm text-ink-3">
        <Mark flowing className="size-4 text-water" />
        Sending…
      </p>
    </article>
  );
}
