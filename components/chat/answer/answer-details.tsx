import { RotateCw, StepForward } from "lucide-react";
import { useSession } from "@/components/chat/session-context";
import { Button, IconButton } from "@/components/ui/button";
import { CopyButton } from "@/components/ui/copy-button";
import { Tooltip } from "@/components/ui/tooltip";
import type { MessageMetadata } from "@/lib/turn/chunks";
import type { AnswerEnding } from "./endings";

const number = new Intl.NumberFormat("en");
/** Most answers cost a fraction of a cent. */
const dollars = new Intl.NumberFormat("en", { style: "currency", currency: "USD", maximumSignificantDigits: 2 });

function duration(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

function sourcesNotRead(count: number): string {
  return count === 1 ? "1 source not read" : `${count} sources not read`;
}

type DetailsProps = {
  metadata: MessageMetadata;
  note: AnswerEnding["note"];
  text: string;
  onRegenerate: (() => void) | undefined;
  onContinue: (() => void) | undefined;
};

/** Below an ended answer: its ending, usage and actions. */
export function AnswerDetails({ metadata, note, text, onRegenerate, onContinue }: DetailsProps) {
  const { models } = useSession();
  const { status, error, model, timing, usage, confidence, memory } = metadata;
  const label = models.find(({ id }) => id === model)?.label ?? model;
  return (
    <footer className="grid grid-cols-1 gap-2.5">
      {status === "failed" && (
        <p role="alert" className="rounded-lg bg-danger-soft px-3.5 py-2.5 text-sm text-pretty text-danger">
          {error?.message ?? "The answer failed."}
        </p>
      )}
      {note && (
        <p className="text-sm text-ink-2">
          <span className="font-medium text-ink">{note.word}</span> <span className="text-ink-3">·</span>{" "}
          <span>{note.says}</span>
        </p>
      )}
      <div className="flex min-h-8 flex-wrap items-center gap-x-1 gap-y-1 text-xs text-ink-3">
        {text && (
          <CopyButton label="Copy answer" text={() => text} className="-ml-2 size-8! text-ink-3 [&_svg]:size-3.5!" />
        )}
        {onRegenerate && status === "complete" && (
          <IconButton label="Regenerate" onClick={onRegenerate} className="size-8! text-ink-3 [&_svg]:size-3.5!">
            <RotateCw />
          </IconButton>
        )}
        {onContinue && (
          <Button onClick={onContinue} className="mr-1 h-8! text-xs [&_svg]:size-3.5!">
            <StepForward /> Continue
          </Button>
        )}
        {onRegenerate && status !== "complete" && (
          <Button onClick={onRegenerate} className="mr-2 h-8! text-xs [&_svg]:size-3.5!">
            <RotateCw /> Retry
          </Button>
        )}
        <p
          data-part="details"
          className="flex flex-wrap gap-x-2 tabular-nums *:not-first:before:mr-2 *:not-first:before:content-['·']"
        >
          {label && <span>{label}</span>}
          {timing && <span>{duration(timing.durationMs)}</span>}
          {usage && <span>{number.format(usage.totalTokens)} tokens</span>}
          {usage?.costUsd !== undefined && <span>{dollars.format(usage.costUsd)}</span>}
          {memory?.leftOutPassages && (
            <Tooltip label="Together, the sources are longer than the model can read. It did not read the last ones.">
              {/* biome-ignore lint/a11y/noNoninteractiveTabindex: the explanation must be reachable by keyboard. */}
              <span tabIndex={0}>{sourcesNotRead(memory.leftOutPassages)}</span>
            </Tooltip>
          )}
          {typeof confidence === "number" && (
            <Tooltip label="How much of the answer its cited sources support">
              {/* biome-ignore lint/a11y/noNoninteractiveTabindex: the explanation must be reachable by keyboard. */}
              <span tabIndex={0}>confidence {Math.round(confidence * 100)}%</span>
            </Tooltip>
          )}
        </p>
      </div>
    </footer>
  );
}
