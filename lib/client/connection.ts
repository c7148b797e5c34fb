// The state of the connection to the server as a page shows it: a value and its subscribers, in the shape that
// React's useSyncExternalStore takes. Knows nothing of streams.

/**
 * - `idle`: nothing is being followed
 * - `connecting`: a turn was asked for; no byte of the answer yet
 * - `live`: bytes arrive
 * - `parked`: the page is hidden and gave the connection back; the stream is reopened when it is looked at
 * - `reconnecting`: the stream was lost and is being reopened
 * - `polling`: streaming failed repeatedly; the turn's state is asked for instead
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

  /** A stream's own way to report. When two overlap, as on a quick remount, only the younger is heard. */
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
