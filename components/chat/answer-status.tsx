import { clsx } from "clsx";
import { Mark } from "@/components/ui/mark";
import type { ChatMessage, StatusData } from "@/lib/turn/chunks";

const endings: Record<string, string> = {
  complete: "Answer complete.",
  stopped: "Answer stopped.",
  interrupted: "Answer interrupted.",
  failed: "Answer failed.",
};

export function statuses(message: ChatMessage): StatusData[] {
  return message.parts.flatMap((part) => (part.type === "data-status" ? [part.data as StatusData] : []));
}

/** Only the stages are announced, never the tokens: one sentence when a stage begins and one at the end. */
export function AnswerStatus({ message, live, writes }: { message: ChatMessage; live: boolean; writes: boolean }) {
  const ending = message.metadata?.status;
  const active = statuses(message).findLast((status) => status.state === "active");
  const label = active?.label ?? "Waiting for the server…";
  if (!live && ending) return null;
  return (
    <p role="status" className={clsx("flex items-center gap-2 text-sm text-ink-3", ending && "sr-only")}>
      {ending ? (
        endings[ending]
      ) : (
        <>
          <Mark flowing className={clsx("size-4 text-water", writes && "opacity-70")} />
          {label}
        </>
      )}
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
