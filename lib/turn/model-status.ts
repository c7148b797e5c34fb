// Progress of a model at work: the generate stage's label while nothing of the answer comes, and how long it reasoned
// (docs/protocol.md §4). An answer that begins at once has one label and no times. Pure.
import type { ChatMessage, TurnChunk } from "./chunks";

/** `answering` once text or a tool call comes. */
export type ModelPhase = "loading" | "thinking" | "answering";

/** `forMs`: how long the phase has lasted already. */
export type PhaseListener = (phase: ModelPhase, forMs: number) => void;

const labels: Record<ModelPhase, string> = {
  loading: "The model is loading…",
  thinking: "Thinking…",
  answering: "Generating response…",
};

type StatusChunk = Extract<TurnChunk, { type: "data-status" }>;

/** `sinceMs`: when the phase began, in milliseconds from the start of the run. */
export function generateStatus(
  state: "active" | "done",
  phase: ModelPhase = "answering",
  sinceMs?: number,
): StatusChunk {
  const since = sinceMs === undefined ? {} : { sinceMs: Math.max(0, Math.round(sinceMs)) };
  return { type: "data-status", id: "generate", data: { stage: "generate", label: labels[phase], state, ...since } };
}

/** Whether this status says more than that the model answers. */
export function isWaiting(chunk: StatusChunk): boolean {
  return chunk.data.stage === "generate" && chunk.data.label !== labels.answering;
}

/** Shorter reasoning is not worth a number. */
const shortestMs = 1_000;

/** Knows how long each reasoning took. */
export class ReasoningTimes {
  /** When each open one began. */
  readonly #open = new Map<string, number>();
  /** When the model began to think without showing it. */
  #hiddenSinceMs: number | undefined;

  enter(phase: ModelPhase, sinceMs: number): void {
    this.#hiddenSinceMs = phase === "thinking" ? sinceMs : undefined;
    if (phase === "thinking") for (const [id, ms] of this.#open) this.#open.set(id, Math.min(ms, sinceMs));
  }

  /** What follows this chunk, which may be the end of a reasoning. */
  see(chunk: TurnChunk, nowMs: () => number): TurnChunk | null {
    if (chunk.type === "reasoning-start") {
      this.#open.set(chunk.id, this.#hiddenSinceMs ?? nowMs());
      this.#hiddenSinceMs = undefined;
      return null;
    }
    if (chunk.type !== "reasoning-end") return null;
    const sinceMs = this.#open.get(chunk.id);
    if (sinceMs === undefined) return null;
    this.#open.delete(chunk.id);
    const durationMs = Math.round(nowMs() - sinceMs);
    return durationMs < shortestMs ? null : { type: "data-reasoning", data: { durationMs } };
  }
}

/** How long the reasoning at this place took; undefined for a short one. */
export function reasoningMs(parts: ChatMessage["parts"], index: number): number | undefined {
  const next = parts[index + 1];
  return next?.type === "data-reasoning" ? next.data.durationMs : undefined;
}
