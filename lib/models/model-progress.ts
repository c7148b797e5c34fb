// What a model is doing before its answer begins, shown to waiting users. Calls report here
// (timeouts.ts, retries.ts), whatever the provider; reporter and listener are matched by the
// caller's abort signal, which all layers pass through. Quick answers report nothing.

import { processSingleton } from "@/lib/process-singletons";
import type { ModelPhase, PhaseListener } from "@/lib/turn/model-status";

type ProgressDelays = {
  /** Users notice a wait from about here on; a server with a loaded model answers sooner. */
  quietMs: number;
  /** After loading, the first text usually comes immediately: only a longer silence is thinking. */
  settleMs: number;
};

const defaultDelays: ProgressDelays = { quietMs: 3_000, settleMs: 1_000 };

export class ModelProgress {
  readonly #listener: PhaseListener;
  readonly #delays: ProgressDelays;
  #phase: ModelPhase = "answering";
  #sinceMs = 0;
  #loads = false;
  #responded = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(listener: PhaseListener, limits = defaultDelays) {
    this.#listener = listener;
    this.#delays = limits;
  }

  /** A request is sent. `loads`: its server may have to load the model first. */
  begin(loads: boolean): void {
    this.#loads = loads || this.#phase === "loading";
    // A retry belongs to the same wait.
    if (this.#phase === "answering") this.#sinceMs = performance.now();
    this.#responded = false;
    this.#checkAfter(this.#delays.quietMs);
  }

  /** The server reported that it is loading the model. */
  loading(): void {
    this.#enter("loading");
  }

  /** The server has started to respond, so the model is loaded. */
  responding(): void {
    if (this.#responded) return;
    this.#responded = true;
    if (this.#phase !== "loading") return;
    this.#sinceMs = performance.now();
    this.#checkAfter(this.#delays.settleMs);
  }

  /** Visible reasoning has started. */
  reasoning(): void {
    this.responding();
    if (this.#phase === "loading") this.#enter("thinking");
  }

  answering(): void {
    clearTimeout(this.#timer);
    this.#enter("answering");
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  #checkAfter(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#enter(this.#loads && !this.#responded ? "loading" : "thinking"), ms);
  }

  #enter(phase: ModelPhase): void {
    if (phase === this.#phase) return;
    this.#phase = phase;
    this.#listener(phase, phase === "answering" ? 0 : performance.now() - this.#sinceMs);
  }
}

const progressBySignal = processSingleton("model-progress", () => new WeakMap<AbortSignal, ModelProgress>());

/** Subscribes to all calls made with this signal. */
export function onModelPhase(signal: AbortSignal, listener: PhaseListener, limits?: ProgressDelays): void {
  progressBySignal().set(signal, new ModelProgress(listener, limits));
}

/** Null without a listener. */
export function progressOf(signal: AbortSignal | undefined): ModelProgress | null {
  return (signal && progressBySignal().get(signal)) ?? null;
}
