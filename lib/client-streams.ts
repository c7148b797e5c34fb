// Everything a process holds open for its clients: streams, feeds and awaited answers, from the
// request to the end. The one place that guarantees cleanup: when the client disconnects at any
// moment, the work throws, the response has no body, or the body is never read. Knows nothing of
// turns or frames.

import { type Credential, credentialOf, type User } from "./auth";
import { processSingleton } from "./process-singletons";
import { BrokenStream, eventStream, type Layout } from "./sse";
import { streamSlots } from "./stream-slots";

type Resource = { close(): void };

/**
 * The default abort reason, created once: capturing its stack costs more than everything else that
 * closes a stream.
 */
const closedReason = new DOMException("The stream was closed.", "AbortError");

type EventSource = {
  /** The next blocks; null ends the stream (lib/sse.ts). */
  next: () => Promise<string | null>;
  /**
   * True if the blocks `next` returned last were the final ones. Without it `next` is called once
   * more.
   */
  isLast?: () => boolean;
  /**
   * Called with what `next` threw, unless that is a BrokenStream. The connection is cut, so the
   * client reconnects.
   */
  onError?: (error: unknown) => void;
  heartbeatMs: number;
  layout?: Layout;
};

/** All open streams of this process. */
export const clientStreams = processSingleton("client-streams", () => new Set<ClientStream>());

/**
 * Runs `work`, which may open resources for this request with `stream.own` and respond with
 * `stream.events`. Owned resources are closed once: when the client disconnects, the events end,
 * `work` throws, or it returns without events. `user` is whose credentials opened it, null for
 * public endpoints. Throws limit_reached if this user has too many open.
 */
export async function withClientStream(
  request: Request,
  user: User | null,
  work: (stream: ClientStream) => Promise<Response>,
): Promise<Response> {
  const credential = user && credentialOf(request);
  const releaseSlot = user && (await streamSlots().acquire(user.id));
  const stream = new ClientStream(request.signal, user, credential);
  if (releaseSlot) stream.own({ close: releaseSlot });
  try {
    const response = await work(stream);
    if (!stream.streams) stream.end();
    return response;
  } catch (error) {
    stream.close();
    throw error;
  }
}

export class ClientStream {
  readonly user: User | null;
  /** Rechecked while the stream is open (lib/services/users/credential-checks.ts). */
  readonly credential: Credential | null;
  readonly #client: AbortSignal;
  readonly #closed = new AbortController();
  readonly #owned: Resource[] = [];
  readonly #onAbort = () => this.close();
  #streams = false;
  #ended = false;
  #broken = false;

  constructor(client: AbortSignal, user: User | null, credential: Credential | null) {
    this.user = user;
    this.credential = credential;
    this.#client = client;
    clientStreams().add(this);
    client.addEventListener("abort", this.#onAbort, { once: true });
    // An aborted signal fires no event, and Next neither reads nor cancels the body of such a
    // response.
    if (client.aborted) this.close();
  }

  /** Aborts when the stream is closed, for any reason. */
  get signal(): AbortSignal {
    return this.#closed.signal;
  }

  /** For a closed stream: the client disconnected before the end and was not cut off. */
  get abandoned(): boolean {
    return !this.#ended && !this.#broken;
  }

  /** The client has everything, or knows that nothing more follows. */
  end(): void {
    this.#ended = true;
    this.close();
  }

  get streams(): boolean {
    return this.#streams;
  }

  /** Closes the resource with the stream; immediately if already closed. */
  own<T extends Resource>(resource: T): T {
    if (this.signal.aborted) resource.close();
    else this.#owned.push(resource);
    return resource;
  }

  /** The event stream body. Call it once, last before the response. */
  events({ next, isLast, onError, heartbeatMs, layout }: EventSource): ReadableStream<Uint8Array> {
    this.#streams = true;
    return eventStream({
      heartbeatMs,
      layout,
      next: async () => {
        const blocks = await next();
        this.#ended ||= blocks === null || (isLast?.() ?? false);
        return blocks;
      },
      isLast: () => this.#ended,
      signal: this.signal,
      close: (error) => {
        this.close();
        if (error) onError?.(error);
      },
    });
  }

  /** Cuts the stream for a reason the client learns when it reconnects. */
  break(): void {
    this.#broken = true;
    this.#close(new BrokenStream("the stream was cut"));
  }

  close(): void {
    this.#close();
  }

  #close(reason?: BrokenStream): void {
    if (this.signal.aborted) return;
    clientStreams().delete(this);
    this.#client.removeEventListener("abort", this.#onAbort);
    this.#closed.abort(reason ?? closedReason);
    for (const resource of this.#owned.splice(0)) resource.close();
  }
}
