// One HTTP connection that carries a turn: bytes in, chunks with their ids out, and a watchdog for silence
// (docs/protocol.md §2). It never reopens itself and knows nothing of cursors: that is follow.ts.
import { asSchema, uiMessageChunkSchema } from "ai";
import { createParser, type EventSourceMessage } from "eventsource-parser";
import type { TurnChunk } from "@/lib/turn/chunks";
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

export type Frame = { id: string | undefined; chunk: TurnChunk };

export class Line {
  /** The network came back while the line was open. It was closed for that; nothing has failed. */
  moved = false;
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
      // A socket from before the network went away may stay silent for minutes. Reopening costs one request.
      if (reason === "online") this.moved = true;
      if (reason === "online" || Date.now() - this.#heardAt > this.#limitMs) this.#close(unreachable());
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
    if (this.#limitMs === this.#options.silenceMs) return;
    this.#limitMs = this.#options.silenceMs;
    clearTimeout(this.#timer);
    this.#watch();
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
   * Chunks in the order of the stream, each once. Ends at EOF, which says nothing about the turn. Throws RequestError:
   * `unreachable` when the connection broke or fell silent, `bad_response` for what is not a chunk of the protocol.
   */
  async *frames(response: Response): AsyncGenerator<Frame> {
    const type = response.headers.get("Content-Type") ?? "";
    if (!response.body || !type.startsWith("text/event-stream"))
      throw badResponse("The server did not answer with a stream of events.", response.status);
    const reader = response.body.getReader();
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
      for (const { id, data } of arrived) if (data !== "[DONE]") yield { id, chunk: await parseChunk(data) };
    }
  }
}

async function parseChunk(data: string): Promise<TurnChunk> {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch (cause) {
    throw badResponse("The server sent an event that is not JSON.", 200, cause);
  }
  const result = await asSchema(uiMessageChunkSchema).validate?.(value);
  if (!result?.success) throw badResponse("The server sent an event that is not a chunk.", 200, result?.error);
  // The SDK's schema leaves the data parts and the metadata open; ours are the server's to keep.
  return result.value as TurnChunk;
}
