// How the HTTP of a provider's call tells the limits on its silence (timeouts.ts) what it sees. The two meet at the call's abort signal, the
// one thing that an adapter hands through unchanged.

export type Activity = {
  /** A connection is being made. */
  connecting(): void;
  /** The connection stands and the request is on its way. */
  connected(): void;
  /** The response to a request that was accepted has begun; its first byte may take longer. */
  responding(): void;
  /** Something came, shown or not; `thinking`: the model is known to work in silence now. */
  bytes(thinking?: boolean): void;
};

const nothing: Activity = { connecting() {}, connected() {}, responding() {}, bytes() {} };

// On globalThis because Next bundles each route apart.
const key = Symbol.for("rivulet.provider-activity");
const shared = globalThis as { [key]?: WeakMap<AbortSignal, Activity> };

function watched(): WeakMap<AbortSignal, Activity> {
  shared[key] ??= new WeakMap();
  return shared[key];
}

/** Whoever sends with this signal reports here. */
export function watchActivity(signal: AbortSignal, activity: Activity): void {
  watched().set(signal, activity);
}

/** Where to report what a call with this signal does; nowhere when nobody watches. */
export function activityOf(signal: AbortSignal | null | undefined): Activity {
  return (signal && watched().get(signal)) || nothing;
}
