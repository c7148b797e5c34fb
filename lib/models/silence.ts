// How a provider call's HTTP layer reports activity to the silence limits (timeouts.ts). The two
// are matched by the call's abort signal, the one thing adapters pass through unchanged.
import { processSingleton } from "@/lib/process-singletons";

export type Activity = {
  connecting(): void;
  /** The request is on its way. */
  connected(): void;
  /** A response with an accepting status has begun; its first byte may take longer. */
  responding(): void;
  /** Data arrived, visible or not; `thinking`: the model is known to work silently now. */
  bytes(thinking?: boolean): void;
};

const nothing: Activity = { connecting() {}, connected() {}, responding() {}, bytes() {} };

const watched = processSingleton("provider-activity", () => new WeakMap<AbortSignal, Activity>());

/** Requests with this signal report to `activity`. */
export function watchActivity(signal: AbortSignal, activity: Activity): void {
  watched().set(signal, activity);
}

/** Where calls with this signal report; a no-op without a watcher. */
export function activityOf(signal: AbortSignal | null | undefined): Activity {
  return (signal && watched().get(signal)) || nothing;
}
