import { clsx } from "clsx";
import { Check } from "lucide-react";
import { Mark } from "@/components/ui/mark";
import type { ChatMessage, StatusData } from "@/lib/turn/chunks";
import { endingOf } from "./endings";

export function statuses(message: ChatMessage): StatusData[] {
  return message.parts.flatMap((part) => (part.type === "data-status" ? [part.data as StatusData] : []));
}

/**
 * The stages so far, a finished one with what it found: a search may take less time than a frame, and still be seen.
 * Only stages are announced, never tokens: one sentence when a stage begins and one at the end.
 */
export function AnswerStatus({ message, live, writes }: { message: ChatMessage; live: boolean; writes: boolean }) {
  const ending = endingOf(message);
  if (!live && ending) return null;
  const stages = statuses(message);
  // The list of sources says it better.
  const listed = message.parts.some((part) => part.type === "source-document");
  return (
    <div role="status" className={clsx("grid gap-1 text-sm text-ink-3", ending && "sr-only")}>
      {ending ? (
        ending.announced
      ) : message.metadata?.continues ? (
        <Stage label="Continuing…" writes={writes} />
      ) : stages.length === 0 ? (
        <Stage label="Waiting for the server…" />
      ) : (
        stages.map(({ detail, ...stage }) => (
          <Stage key={stage.stage} {...stage} detail={listed ? undefined : detail} writes={writes} />
        ))
      )}
    </div>
  );
}

function Stage({ label, state = "active", detail, writes }: Partial<StatusData> & { writes?: boolean }) {
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
    </p>
  );
}

/** The place of an answer that was asked for and has not begun. */
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
