// One HTTP connection that carries a turn: bytes in, events out, and a watchdog for silence
// (docs/protocol.md §2). Does not reconnect, knows no cursors (follower.ts) and does not decode
// events (dialects.ts).
import { createParser, type EventSourceMessage } from "eventsource-parser";
import type { Wake } from "./backoff.ts";
import { abortableRead, badResponse, unreachable } from "./request.ts";

type StreamConnectionOptions = {
  /** The reader's; aborting it closes the line. */
  signal: AbortSignal;
  /**
   * A healthy server sends a comment immediately, so this only covers the network and the database.
   */
  firstByteMs: number;
  /** Silence after the first byte that means the connection is dead. */
  silenceMs: number;
  wake: Wake;
  onByte?: () => void;
};

/** One event of the stream, however its bytes were split. */
export type Frame = { event?: string | undefined; data: string; id?: string | undefined };

/** The value of a frame's `data`. Throws RequestError `bad_response` if it is not JSON. */
export function parseJson(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch (cause) {
    throw badResponse("The server sent an event that is not JSON.", 200, cause);
  }
}

export class StreamConnection {
  /** The network changed while the line was open, so the line was closed. Not a failure. */
  networkChanged = false;
  /**
   * The page was hidden and closed the connection: browsers allow six per host across all tabs. Not
   * a failure.
   */
  parked = false;
  #hidden = false;
  #streaming = false;
  readonly #options: StreamConnectionOptions;
  readonly #closing = new AbortController();
  readonly #unsubscribe: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #limitMs: number;
  // Wall clock, because it advances while a laptop sleeps or a page is frozen; timers do not.
  #lastByteAt = Date.now();

  constructor(options: StreamConnectionOptions) {
    this.#options = options;
    this.#limitMs = options.firstByteMs;
    this.#unsubscribe = options.wake((reason) => {
      if (reason === "hidden" || reason === "visible") this.#hidden = reason === "hidden";
      if (reason === "hidden") return this.#parkStream();
      // A socket from before a network change may stay silent for minutes. Reopening costs one
      // request, which tells immediately whether the server is reachable.
      if (reason !== "visible") this.networkChanged = true;
      if (this.networkChanged || Date.now() - this.#lastByteAt > this.#limitMs) this.#close(unreachable());
    });
    options.signal.addEventListener("abort", this.#onAbort, { signal: this.#closing.signal });
    if (options.signal.aborted) this.#onAbort();
    else this.#checkSilence();
  }

  readonly #onAbort = () => this.#close(this.#options.signal.reason);

  #checkSilence = () => {
    const leftMs = this.#limitMs - (Date.now() - this.#lastByteAt);
    if (leftMs <= 0) this.#close(unreachable(new Error(`No byte arrived for ${this.#limitMs} ms.`)));
    else this.#timer = setTimeout(this.#checkSilence, leftMs);
  };

  #onByte(): void {
    this.#lastByteAt = Date.now();
    if (this.#streaming) return;
    this.#streaming = true;
    this.#limitMs = this.#options.silenceMs;
    clearTimeout(this.#timer);
    this.#checkSilence();
    if (this.#hidden) this.#parkStream();
  }

  /** A question in flight must arrive, so only a stream that has started is closed. */
  #parkStream(): void {
    if (!this.#streaming) return;
    this.parked = true;
    this.#close(unreachable());
  }

  #close(reason: unknown): void {
    clearTimeout(this.#timer);
    this.#unsubscribe();
    this.#closing.abort(reason);
  }

  /** Releases socket and timers. Idempotent. */
  close(): void {
    this.#close(unreachable());
  }

  /** For requests over this line: aborted with the reason when it closes. */
  get signal(): AbortSignal {
    return this.#closing.signal;
  }

  /**
   * Events in stream order, each once. Ends at EOF, which says nothing about the turn. Throws
   * RequestError: `unreachable` if the connection broke or fell silent, `bad_response` if it is no
   * event stream.
   */
  async *frames(response: Response): AsyncGenerator<Frame> {
    const refusal = badResponse("The server did not answer with a stream of events.", response.status);
    if (!response.body) throw refusal;
    const reader = response.body.getReader();
    if (!response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
      // Browsers accept a truncated response head as one with missing headers; only a body tells
      // them apart.
      const { done } = await abortableRead(this.#closing.signal, () => reader.read());
      if (done) return;
      throw refusal;
    }
    const decoder = new TextDecoder();
    let events: EventSourceMessage[] = [];
    const parser = createParser({ onEvent: (event) => events.push(event) });
    for (;;) {
      const { done, value } = await abortableRead(this.#closing.signal, () => reader.read());
      if (done) return;
      this.#onByte();
      this.#options.onByte?.();
      parser.feed(decoder.decode(value, { stream: true }));
      const arrived = events;
      events = [];
      yield* arrived;
    }
  }
}
