// Progress of a model before it answers: the generate stage's label, and how long each reasoning
// took (docs/protocol.md §4). An answer that starts immediately gets one label and no times. Pure.
import type { ChatMessage, StatusData, TurnChunk } from "./chunks";

/** `answering` from the first text or tool call. */
export type ModelPhase = "loading" | "thinking" | "answering";

/** `forMs`: how long the phase has already lasted. */
export type PhaseListener = (phase: ModelPhase, forMs: number) => void;

const labels: Record<ModelPhase, string> = {
  loading: "The model is loading…",
  thinking: "Thinking…",
  answering: "Generating response…",
};

type StatusChunk = Extract<TurnChunk, { type: "data-status" }>;

/** `sinceMs`: start of the phase, in milliseconds since the start of the run. */
export function generateStatus(
  state: "active" | "done",
  phase: ModelPhase = "answering",
  sinceMs?: number,
): StatusChunk {
  const since = sinceMs === undefined ? {} : { sinceMs: Math.max(0, Math.round(sinceMs)) };
  return { type: "data-status", id: "generate", data: { stage: "generate", label: labels[phase], state, ...since } };
}

/** True if the status shows loading or thinking rather than answering. */
export function isWaiting({ stage, label }: StatusData): boolean {
  return stage === "generate" && label !== labels.answering;
}

/** Shorter reasoning gets no duration. */
const minDurationMs = 1_000;

/** Measures the duration of each reasoning part. */
export class ReasoningTimes {
  /** Start times of open parts, by id. */
  readonly #open = new Map<string, number>();
  /** When the model started to reason without output. */
  #hiddenSinceMs: number | undefined;

  enter(phase: ModelPhase, sinceMs: number): void {
    this.#hiddenSinceMs = phase === "thinking" ? sinceMs : undefined;
    if (phase === "thinking") for (const [id, ms] of this.#open) this.#open.set(id, Math.min(ms, sinceMs));
  }

  /** Returns the duration chunk to emit after this one if it ends a reasoning part. */
  apply(chunk: TurnChunk, nowMs: () => number): TurnChunk | null {
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
    return durationMs < minDurationMs ? null : { type: "data-reasoning", data: { durationMs } };
  }
}

/** Duration of the reasoning part at `index`; undefined if it was short. */
export function reasoningMs(parts: ChatMessage["parts"], index: number): number | undefined {
  const next = parts[index + 1];
  return next?.type === "data-reasoning" ? next.data.durationMs : undefined;
}
