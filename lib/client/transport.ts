// The AI SDK's ChatTransport for this server: sends once whatever the network does, and follows an answer until it
// has ended (docs/protocol.md §2 and §5). No React, no window needed.
import { type ChatTransport, generateId } from "ai";
import type { ChatMessage, TurnChunk } from "@/lib/turn/chunks";
import { type Backoff, type PageEvents, pageWake, type Wake } from "./backoff";
import { Connection } from "./connection";
import { Follower, type Patience } from "./follow";
import { type Http, request } from "./request";

export type TransportOptions = Http &
  PageEvents & {
    /** Further fields of the body of a send: model, searchMode, documentIds. Asked anew for each send. */
    body?: () => object;
    /** The server's HEARTBEAT_MS. */
    heartbeatMs?: number;
    backoff?: Backoff;
    openAttempts?: number;
    failuresBeforePolling?: number;
    pollMs?: number;
  };

type SendOptions = Parameters<ChatTransport<ChatMessage>["sendMessages"]>[0];
type ReconnectOptions = Parameters<ChatTransport<ChatMessage>["reconnectToStream"]>[0];

export class ResumableChatTransport implements ChatTransport<ChatMessage> {
  /** `GET /api/chat/{id}/stream` replays from `start`, with the same message id. */
  readonly resumeStreamIsReplay = true;
  /** The state of the youngest stream, for a page to show. */
  readonly connection = new Connection();
  readonly #options: TransportOptions;
  readonly #patience: Patience;
  readonly #wake: Wake;

  constructor(options: TransportOptions = {}) {
    const { heartbeatMs = 15_000 } = options;
    this.#options = options;
    this.#wake = pageWake(options);
    this.#patience = {
      firstByteMs: heartbeatMs,
      // Two heartbeats may be lost or late before a connection counts as dead.
      silenceMs: 2.5 * heartbeatMs,
      backoff: options.backoff ?? { minMs: 250, maxMs: 10_000 },
      // With the default backoff about 20 s on average: longer than a restart, shorter than patience.
      openAttempts: options.openAttempts ?? 8,
      failuresBeforePolling: options.failuresBeforePolling ?? 4,
      pollMs: options.pollMs ?? 3_000,
    };
  }

  /**
   * Sends the last user message, or asks for another answer to it, and streams that answer up to its terminal.
   * Repeated attempts carry the same key, so the server makes one turn of them. Rejects, and the stream errors, with
   * RequestError. An abort leaves the answer to go on; `stopTurn` (api.ts) is what stops it.
   */
  async sendMessages(options: SendOptions): Promise<ReadableStream<TurnChunk>> {
    const { trigger, chatId, messageId, messages } = options;
    const message = messages.findLast(({ role }) => role === "user");
    if (!message) throw new Error("There is no user message to answer.");
    const fields = { id: chatId, message, trigger, messageId };
    const body = JSON.stringify({ ...this.#options.body?.(), ...options.body, ...fields });
    const key = trigger === "submit-message" ? message.id : generateId();
    const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
    const stream = await this.#follow(options, (http, signal) =>
      request(http, "/api/chat", { method: "POST", headers, body, signal }),
    );
    if (!stream) throw new Error("The server accepted the message without an answer to follow.");
    return stream;
  }

  /** The chat's running answer from its beginning; null when none runs. Otherwise as `sendMessages`. */
  reconnectToStream(options: ReconnectOptions): Promise<ReadableStream<TurnChunk> | null> {
    const path = `/api/chat/${encodeURIComponent(options.chatId)}/stream`;
    return this.#follow(options, (http, signal) => request(http, path, { signal }));
  }

  async #follow(
    { headers, abortSignal }: Pick<ReconnectOptions, "headers" | "abortSignal">,
    send: (http: Http, signal: AbortSignal) => Promise<Response>,
  ): Promise<ReadableStream<TurnChunk> | null> {
    const { baseUrl, headers: ownHeaders } = this.#options;
    const extra = Object.fromEntries(new Headers(headers));
    const http: Http = { baseUrl, headers: () => ({ ...ownHeaders?.(), ...extra }) };
    const leaving = new AbortController();
    const { signal } = leaving;
    const leave = () => leaving.abort(abortSignal?.reason);
    if (abortSignal?.aborted) leave();
    else abortSignal?.addEventListener("abort", leave, { signal });
    const follower = new Follower({
      http,
      send: (lineSignal) => send(http, lineSignal),
      signal,
      wake: this.#wake,
      patience: this.#patience,
      report: this.connection.hold(),
    });
    const response = await follower.open();
    if (response.status === 204) {
      follower.close();
      return null;
    }
    return streamOf(follower, leaving);
  }
}

/** Pulled chunk by chunk; cancelling it is the reader's leaving. */
function streamOf(follower: Follower, leaving: AbortController): ReadableStream<TurnChunk> {
  const chunks = follower.chunks();
  return new ReadableStream<TurnChunk>({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      leaving.abort();
      await chunks.return();
      // A generator that was never pulled has not reached its own clean-up.
      follower.close();
    },
  });
}
