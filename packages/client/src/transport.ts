// The AI SDK's ChatTransport for this server: sends exactly once despite network failures, and
// follows an answer to its end (docs/protocol.md §2 and §5). Needs neither React nor a window.
import { asSchema, type ChatTransport, generateId, uiMessageChunkSchema } from "ai";
import { ChunkState } from "../../../lib/turn/chunk-state.ts";
import { type ChatMessage, isTerminal, type TurnChunk } from "../../../lib/turn/chunks.ts";
import { findStoredAnswer } from "./api.ts";
import { type PageEvents, pageWake, type Wake } from "./backoff.ts";
import { catchUp } from "./catch-up.ts";
import { Connection } from "./connection.ts";
import { Follower, type FollowLimits, type Format } from "./follower.ts";
import { failuresBeforePolling, type LimitOptions, pollMs, streamLimits } from "./limits.ts";
import { badResponse, type Http, request, turnIdOf } from "./request.ts";
import { smoothText } from "./smooth-text.ts";
import { type Frame, parseJson } from "./stream-connection.ts";

export type TransportOptions = Http &
  PageEvents &
  LimitOptions & {
    /** Extra body fields of a send: model, searchMode, documentIds. Called for each send. */
    body?: () => object;
    /**
     * Interval over which the server may gather fast text (docs/protocol.md §2); it is shown
     * evenly.
     */
    gatherMs?: number;
    openAttempts?: number;
    failuresBeforePolling?: number;
    pollMs?: number;
  };

/**
 * The body of a pseudo-resume: an answer continues in a new one that starts with its parts, because
 * it broke off or because the user decided on its consent request. `turnId` is its turn, which
 * continues once: for whichever device is first.
 */
export type ContinueRequest = { turnId: string; model?: string } & (
  | { trigger: "continue-message"; messageId: string }
  | { trigger: "answer-approvals"; approvals: { id: string; approved: boolean }[] }
);

type SendOptions = Parameters<ChatTransport<ChatMessage>["sendMessages"]>[0];
type ReconnectOptions = Parameters<ChatTransport<ChatMessage>["reconnectToStream"]>[0];

export class ResumableChatTransport implements ChatTransport<ChatMessage> {
  /** `GET /api/chat/{id}/stream` replays from `start`, with the same message id. */
  readonly resumeStreamIsReplay = true;
  /** Connection state of the newest stream, for display. */
  readonly connection = new Connection();
  /** The running turn followed last. */
  #turn: { id: string; beganMs: number } | null = null;
  readonly #options: TransportOptions;
  readonly #limits: FollowLimits;
  readonly #wake: Wake;

  constructor(options: TransportOptions = {}) {
    this.#options = options;
    this.#wake = pageWake(options);
    this.#limits = {
      ...streamLimits(options),
      // With the default backoff about 20 s on average: longer than a restart, shorter than a
      // user's patience.
      openAttempts: options.openAttempts ?? 8,
      failuresBeforePolling: options.failuresBeforePolling ?? failuresBeforePolling,
      pollMs: options.pollMs ?? pollMs,
      attempts: Number.POSITIVE_INFINITY,
    };
  }

  /**
   * Start of the turn in this page's `performance.now()`; undefined if it was not followed while
   * running.
   */
  beganMs(turnId: string | undefined): number | undefined {
    return this.#turn?.id === turnId ? this.#turn?.beganMs : undefined;
  }

  /**
   * Sends the last user message, or asks for another answer to it, and streams that answer to its
   * terminal. Retries reuse the key, so the server creates one turn. Rejects, and errors the
   * stream, with RequestError. Aborting does not stop the answer; use `stopTurn` (api.ts).
   */
  async sendMessages(options: SendOptions): Promise<ReadableStream<TurnChunk>> {
    const { trigger, chatId, messageId, messages } = options;
    const message = messages.findLast(({ role }) => role === "user");
    if (!message) throw new Error("There is no user message to answer.");
    const body = { ...this.#options.body?.(), ...options.body, id: chatId, message, trigger, messageId };
    return this.#start(options, body, trigger === "submit-message" ? message.id : generateId());
  }

  /**
   * Streams the chat's running answer from its beginning; null if none is running. Otherwise like
   * `sendMessages`.
   *
   * With a `ContinueRequest` as the body it starts one. The AI SDK has no such request, and a resume
   * is the one that leaves the messages before the answer unchanged.
   */
  reconnectToStream(options: ReconnectOptions): Promise<ReadableStream<TurnChunk> | null> {
    const { turnId, ...continuation } = (options.body ?? {}) as Partial<ContinueRequest>;
    const { trigger } = continuation;
    if (trigger === "continue-message" || trigger === "answer-approvals") {
      const key = `${trigger === "continue-message" ? "continue" : "approve"}:${turnId}`;
      return this.#start(options, { ...continuation, id: options.chatId }, key);
    }
    const path = `/api/chat/${encodeURIComponent(options.chatId)}/stream`;
    return this.#follow(options, (http, signal) => request(http, path, { signal }));
  }

  async #start(options: ReconnectOptions, body: object, key: string): Promise<ReadableStream<TurnChunk>> {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
    const stream = await this.#follow(options, (http, signal) =>
      request(http, "/api/chat", { method: "POST", headers, body: JSON.stringify(body), signal }),
    );
    if (!stream) throw new Error("The server accepted the message without an answer to follow.");
    return stream;
  }

  async #follow(
    { headers, abortSignal }: Pick<ReconnectOptions, "headers" | "abortSignal">,
    send: (http: Http, signal: AbortSignal) => Promise<Response>,
  ): Promise<ReadableStream<TurnChunk> | null> {
    const { baseUrl, headers: ownHeaders, gatherMs } = this.#options;
    const extra = Object.fromEntries(new Headers(headers));
    const gather: Record<string, string> = gatherMs ? { "X-Gather-Ms": String(gatherMs) } : {};
    const http: Http = { baseUrl, headers: () => ({ ...gather, ...ownHeaders?.(), ...extra }) };
    const reading = new AbortController();
    const { signal } = reading;
    const leave = () => reading.abort(abortSignal?.reason);
    if (abortSignal?.aborted) leave();
    else abortSignal?.addEventListener("abort", leave, { signal });
    const received = new ChunkState();
    const follower = new Follower({
      http,
      format: chunkFormat(http, received),
      send: (lineSignal) => send(http, lineSignal),
      signal,
      wake: this.#wake,
      limits: this.#limits,
      report: this.connection.hold(),
    });
    const response = await follower.open();
    if (response.status === 204) {
      follower.close();
      return null;
    }
    const id = turnIdOf(response);
    const ageMs = response.headers.get("X-Turn-Age-Ms");
    if (id && ageMs) this.#turn = { id, beganMs: performance.now() - Number(ageMs) };
    return streamOf(follower, received, reading, this.#options);
  }
}

/** Pulled chunk by chunk; cancelling means the reader leaves. */
function streamOf(
  follower: Follower<TurnChunk>,
  received: ChunkState,
  leaving: AbortController,
  { gatherMs, document }: TransportOptions,
): ReadableStream<TurnChunk> {
  const chunks = gatherMs ? smoothText(follower.items(), { document }) : follower.items();
  return new ReadableStream<TurnChunk>({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done) return controller.close();
      received.apply(value);
      controller.enqueue(value);
    },
    async cancel() {
      leaving.abort();
      await chunks.return();
      // A generator that was never pulled does not run its own cleanup.
      follower.close();
    },
  });
}

/** Chunks unchanged, resumed on the turn's own path, with catch-up from the stored message. */
function chunkFormat(http: Http, received: ChunkState): Format<TurnChunk> {
  return {
    decode: async (frame) => (frame.data === "[DONE]" ? [] : [await parseChunk(frame)]),
    isLast: isTerminal,
    resumePath: (turnId, cursor) =>
      `/api/turns/${encodeURIComponent(turnId)}/stream${cursor ? `?after=${encodeURIComponent(cursor)}` : ""}`,
    async findRest(turnId, signal) {
      const stored = await findStoredAnswer(http, turnId, signal);
      return stored && catchUp(stored, received);
    },
  };
}

async function parseChunk({ data }: Frame): Promise<TurnChunk> {
  const result = await asSchema(uiMessageChunkSchema).validate?.(parseJson(data));
  if (!result?.success) throw badResponse("The server sent an event that is not a chunk.", 200, result?.error);
  // The SDK's schema leaves data parts and metadata open; the server guarantees ours.
  return result.value as TurnChunk;
}
