// What a process holds open for its clients: each stream, feed and awaited answer from the request to the end. The one place
// that opens something for a request and closes it whatever happens: the client leaves at any moment, the work throws, the
// response has no body, the body is never read. Knows nothing of turns or frames.
import { type Credential, credentialOf, type User } from "./auth";
import { BrokenStream, eventStream, type Layout } from "./sse";
import { streamSlots } from "./stream-slots";

type Resource = { close(): void };

/** What `abort` makes of no reason, made once: taking its stack costs more than all else that closes a stream. */
const closedReason = new DOMException("The stream was closed.", "AbortError");

type EventSource = {
  /** The next blocks; null ends the stream (lib/sse.ts). */
  next: () => Promise<string | null>;
  /** Nothing comes behind the blocks that `next` gave last. Without it `next` is asked once more. */
  isLast?: () => boolean;
  /** Called with what `next` threw, unless that is a BrokenStream. The connection is cut, so that the client comes back. */
  onError?: (error: unknown) => void;
  heartbeatMs: number;
  layout?: Layout;
};

// On globalThis because each route is bundled apart.
const key = Symbol.for("rivulet.client-streams");
const shared = globalThis as { [key]?: Set<ClientStream> };

/** All that are open in this process. */
export function clientStreams(): Set<ClientStream> {
  shared[key] ??= new Set();
  return shared[key];
}

/**
 * Runs `work`, which may open things for this request with `stream.own`, and answer with `stream.events`. Everything owned is
 * closed once: when the client has left, when the events end, when `work` throws, or when it answers without events.
 * `user` is whose credentials opened it, null where anybody may. Throws limit_reached when this user has too many open.
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
  /** Looked at again while the stream is open (lib/chats/credential-checks.ts). */
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
    // A signal that has aborted fires no event, and Next neither reads nor cancels the body of such a response.
    if (client.aborted) this.close();
  }

  /** Aborts when the stream is closed, for whatever reason. */
  get signal(): AbortSignal {
    return this.#closed.signal;
  }

  /** Of a closed one: the client left before the end, and was not cut off. */
  get abandoned(): boolean {
    return !this.#ended && !this.#broken;
  }

  /** The client has all there is, or is told that there is no more. */
  end(): void {
    this.#ended = true;
    this.close();
  }

  get streams(): boolean {
    return this.#streams;
  }

  /** Closes the resource together with the stream; at once when that is closed already. */
  own<T extends Resource>(resource: T): T {
    if (this.signal.aborted) resource.close();
    else this.#owned.push(resource);
    return resource;
  }

  /** A body of events. Call it once, last before the response. */
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

  /** Closes it in the middle, for a reason that the client learns when it connects again. */
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
