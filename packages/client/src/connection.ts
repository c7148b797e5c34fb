// The connection state for display, with subscribers, in the shape React's useSyncExternalStore
// takes. Knows nothing of streams.

/**
 * - `idle`: nothing is being followed
 * - `connecting`: a turn was requested; no byte of the answer yet
 * - `live`: bytes are arriving
 * - `parked`: the hidden page closed its stream; it is reopened when the page is visible
 * - `reconnecting`: the stream was lost and is being reopened
 * - `polling`: streaming failed repeatedly; the turn's state is polled instead
 */
export type ConnectionState = "idle" | "connecting" | "live" | "parked" | "reconnecting" | "polling";

export class Connection {
  #state: ConnectionState = "idle";
  #listeners = new Set<() => void>();
  #holder: object | undefined;

  readonly getSnapshot = (): ConnectionState => this.#state;

  /** Calls back after each change, until the returned function is called. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /**
   * Returns a stream's reporter. If two streams overlap, as on a quick remount, only the newer one
   * counts.
   */
  hold(): (state: ConnectionState) => void {
    const holder = {};
    this.#holder = holder;
    return (state) => {
      if (this.#holder !== holder || this.#state === state) return;
      this.#state = state;
      for (const listener of this.#listeners) listener();
    };
  }
}
