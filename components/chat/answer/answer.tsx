"use client";
import { type DynamicToolUIPart, isToolUIPart, type ToolUIPart } from "ai";
import { clsx } from "clsx";
import { memo, useCallback, useMemo, useRef, useState } from "react";
import { canContinue } from "@/components/chat/conversation/visible-messages";
import type { ChatMessage } from "@/lib/turn/chunks";
import { parseSource } from "@/lib/turn/chunks";
import { textOf } from "@/lib/turn/fold";
import { reasoningMs } from "@/lib/turn/model-status";
import { AnswerDetails } from "./answer-details";
import { AnswerStatus, statuses, waitingSince } from "./answer-status";
import { Citations } from "./citation";
import { type Approval, useConsent } from "./consent";
import { endingOf } from "./endings";
import { Markdown } from "./markdown";
import { Reasoning } from "./reasoning";
import { Sources } from "./sources";
import { ToolCallPanel } from "./tool-call";

type AnswerProps = {
  message: ChatMessage;
  /** When its turn began (`performance.now()`); known only while it runs. */
  beganMs: number | undefined;
  last: boolean;
  settled: boolean;
  onRegenerate: (messageId: string) => void;
  onContinue: (messageId: string) => void;
  onDecide: (messageId: string, approvals: Approval[]) => void;
};

function revealCard(id: string) {
  const card = document.getElementById(id);
  card?.focus({ preventScroll: true });
  const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
  // Opening the passage makes the page longer and stick-to-bottom may scroll in the next frame:
  // scroll one frame later.
  requestAnimationFrame(() => requestAnimationFrame(() => card?.scrollIntoView({ block: "center", behavior })));
}

/** Keys by type and ordinal, not index: a replay may omit invisible parts. */
function keysOf(parts: ChatMessage["parts"]): string[] {
  const seen = new Map<string, number>();
  return parts.map(({ type }) => {
    const nth = (seen.get(type) ?? 0) + 1;
    seen.set(type, nth);
    return `${type}-${nth}`;
  });
}

function useSources(message: ChatMessage) {
  const parts = message.parts.filter((part) => part.type === "source-document");
  // Parts are copied with every token, but sources arrive once: their ids identify a change.
  const key = parts.map((part) => part.sourceId).join(" ");
  // biome-ignore lint/correctness/useExhaustiveDependencies: see above.
  return useMemo(() => parts.flatMap((part) => parseSource(part) ?? []), [key]);
}

export const Answer = memo(function Answer({
  message,
  beganMs,
  last,
  settled,
  onRegenerate,
  onContinue,
  onDecide,
}: AnswerProps) {
  const { metadata, parts, id } = message;
  const ending = metadata?.status;
  const running = !ending;
  const sources = useSources(message);
  const [open, setOpen] = useState<ReadonlySet<number>>(new Set());
  const cardId = useCallback((ordinal: number) => `source-${id}-${ordinal}`, [id]);
  const toggle = useCallback((ordinal: number) => {
    setOpen((now) =>
      now.has(ordinal) ? new Set([...now].filter((each) => each !== ordinal)) : new Set([...now, ordinal]),
    );
  }, []);
  const cite = useMemo(
    () => ({
      has: (ordinal: number) => sources.some((source) => source.ordinal === ordinal),
      show: (ordinal: number) => {
        setOpen(new Set([ordinal]));
        revealCard(cardId(ordinal));
      },
    }),
    [sources, cardId],
  );
  const consent = useConsent(message, onDecide);
  const lastText = parts.findLastIndex((part) => part.type === "text");
  const keyed = keysOf(parts);
  const thinkingSince = running ? waitingSince(message, beganMs) : undefined;
  const article = useRef<HTMLElement>(null);
  const [heightPx, setHeightPx] = useState<number>();
  const continueAnswer = () => {
    // The button disappears: focus moves to the answer, whose height is kept until text fills it.
    article.current?.focus({ preventScroll: true });
    setHeightPx(article.current?.offsetHeight);
    onContinue(id);
  };
  const retrieved = statuses(message).find((status) => status.stage === "retrieve");

  return (
    <article
      ref={article}
      tabIndex={-1}
      aria-label="Answer"
      data-status={ending ?? "running"}
      style={{ minHeight: running ? heightPx : undefined }}
      className={clsx("grid grid-cols-1 content-start gap-3.5 outline-none", settled && "settled-message")}
    >
      {sources.length > 0 && (
        <Sources sources={sources} caption={retrieved?.detail} open={open} onToggle={toggle} cardId={cardId} />
      )}
      <Citations value={cite}>
        {parts.map((part, index) => {
          const key = keyed[index];
          if (part.type === "text")
            return part.text ? (
              <Markdown key={key} text={part.text} running={running && index === lastText && part.state !== "done"} />
            ) : null;
          if (part.type === "reasoning")
            return (
              <Reasoning
                key={key}
                text={part.text}
                running={running && part.state === "streaming"}
                sinceMs={thinkingSince}
                durationMs={reasoningMs(parts, index)}
              />
            );
          if (isToolUIPart(part))
            return (
              <ToolCallPanel
                key={key}
                part={part as ToolUIPart | DynamicToolUIPart}
                running={running}
                consent={last && ending ? consent : null}
              />
            );
          return null;
        })}
      </Citations>
      <AnswerStatus message={message} live={last} writes={lastText >= 0} beganMs={beganMs} />
      {metadata && ending && (
        <AnswerDetails
          metadata={metadata}
          note={endingOf(message)?.note}
          text={textOf(message)}
          onRegenerate={last ? () => onRegenerate(id) : undefined}
          onContinue={last && canContinue(message) ? continueAnswer : undefined}
        />
      )}
    </article>
  );
});
