// One HTTP connection that carries a turn: bytes in, events out, and a watchdog for silence (docs/protocol.md §2). It
// never reopens itself, knows nothing of cursors (follow.ts) and does not read what the events say (dialects.ts).
import { createParser, type EventSourceMessage } from "eventsource-parser";
import type { Wake } from "./backoff";
import { badResponse, reading, unreachable } from "./request";

type LineOptions = {
  /** The reader's; its abort closes the line. */
  signal: AbortSignal;
  /** A healthy server sends a comment at once, so this only has to cover the network and the database. */
  firstByteMs: number;
  /** Silence after the first byte that means the connection is dead. */
  silenceMs: number;
  wake: Wake;
  onByte?: () => void;
};

/** One event of the stream, whatever the pieces in which its bytes came. */
export type Frame = { event?: string | undefined; data: string; id?: string | undefined };

export class Line {
  /** The network went or came back while the line was open. It was closed for that; nothing has failed. */
  moved = false;
  /** The page is hidden, and gave the connection back: a browser opens six to a host for all its tabs. Nothing has failed. */
  parked = false;
  #hidden = false;
  #streams = false;
  readonly #options: LineOptions;
  readonly #closing = new AbortController();
  readonly #unsubscribe: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #limitMs: number;
  // The wall clock, because it goes on while a laptop sleeps and a page is frozen; timers do not.
  #heardAt = Date.now();

  constructor(options: LineOptions) {
    this.#options = options;
    this.#limitMs = options.firstByteMs;
    this.#unsubscribe = options.wake((reason) => {
      if (reason === "hidden" || reason === "visible") this.#hidden = reason === "hidden";
      if (reason === "hidden") return this.#parkStream();
      // A socket from before the network went away may stay silent for minutes. Reopening costs one request, which tells
      // at once whether the server can still be reached.
      if (reason !== "visible") this.moved = true;
      if (this.moved || Date.now() - this.#heardAt > this.#limitMs) this.#close(unreachable());
    });
    options.signal.addEventListener("abort", this.#leave, { signal: this.#closing.signal });
    if (options.signal.aborted) this.#leave();
    else this.#watch();
  }

  readonly #leave = () => this.#close(this.#options.signal.reason);

  #watch = () => {
    const leftMs = this.#limitMs - (Date.now() - this.#heardAt);
    if (leftMs <= 0) this.#close(unreachable(new Error(`Nothing was heard for ${this.#limitMs} ms.`)));
    else this.#timer = setTimeout(this.#watch, leftMs);
  };

  #heard(): void {
    this.#heardAt = Date.now();
    if (this.#streams) return;
    this.#streams = true;
    this.#limitMs = this.#options.silenceMs;
    clearTimeout(this.#timer);
    this.#watch();
    if (this.#hidden) this.#parkStream();
  }

  /** A question that is on its way must arrive, so only a stream that has begun is closed. */
  #parkStream(): void {
    if (!this.#streams) return;
    this.parked = true;
    this.#close(unreachable());
  }

  #close(reason: unknown): void {
    clearTimeout(this.#timer);
    this.#unsubscribe();
    this.#closing.abort(reason);
  }

  /** Frees the socket and the timers. Safe to repeat. */
  close(): void {
    this.#close(unreachable());
  }

  /** For the requests made over this line: aborted when it closes, with the reason. */
  get signal(): AbortSignal {
    return this.#closing.signal;
  }

  /**
   * Events in the order of the stream, each once. Ends at EOF, which says nothing about the turn. Throws RequestError:
   * `unreachable` when the connection broke or fell silent, `bad_response` for what is no stream of events.
   */
  async *frames(response: Response): AsyncGenerator<Frame> {
    const refusal = badResponse("The server did not answer with a stream of events.", response.status);
    if (!response.body) throw refusal;
    const reader = response.body.getReader();
    if (!response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
      // A browser takes a head that was cut off for a whole one with headers missing; a body tells the two apart.
      const { done } = await reading(this.#closing.signal, () => reader.read());
      if (done) return;
      throw refusal;
    }
    const decoder = new TextDecoder();
    let events: EventSourceMessage[] = [];
    const parser = createParser({ onEvent: (event) => events.push(event) });
    for (;;) {
      const { done, value } = await reading(this.#closing.signal, () => reader.read());
      if (done) return;
      this.#heard();
      this.#options.onByte?.();
      parser.feed(decoder.decode(value, { stream: true }));
      const arrived = events;
      events = [];
      yield* arrived;
    }
  }
}
