// One answer for a client: its events over as many connections as needed, and the fallbacks when
// streaming fails (docs/protocol.md §2 and §6). A dialect decodes the events.
import { createApi, findStoredAnswer } from "./api.ts";
import type { Wake } from "./backoff.ts";
import { bufferText, type TextBuffer } from "./buffer-text.ts";
import { type ChatEvent, eventsOf, isEnd, ReceivedAnswer } from "./chat-events.ts";
import type { ClientDialect, DecodedEvent, QuestionRequest } from "./client-dialect.ts";
import type { ConnectionState } from "./connection.ts";
import { Follower, type FollowLimits, type Format } from "./follower.ts";
import { abortableRead, badResponse, type Http, RequestError, request, turnIdOf } from "./request.ts";

export type AnswerOptions = {
  http: Http;
  name: string;
  dialect: ClientDialect;
  question: QuestionRequest;
  limits: FollowLimits;
  wake: Wake;
  timeoutMs: number;
  buffer: TextBuffer | undefined;
  signal: AbortSignal | undefined;
  report: (state: ConnectionState) => void;
};

export class Answer implements AsyncIterable<ChatEvent> {
  /** Known after the first response. */
  turnId: string | undefined;
  chatId: string | undefined;
  readonly #options: AnswerOptions;
  readonly #received = new ReceivedAnswer();
  readonly #reading = new AbortController();
  /** Resolves with the first response, or when there will be none. */
  readonly #firstResponse: Promise<void>;
  #resolveFirstResponse: () => void = () => {};
  #chat: QuestionRequest["chat"];
  #stopping: Promise<string | null> | undefined;

  constructor(options: AnswerOptions) {
    this.#options = options;
    this.#chat = options.question.chat;
    this.#firstResponse = new Promise((resolve) => {
      this.#resolveFirstResponse = resolve;
    });
  }

  /**
   * Sends the question and yields the answer, once. The last event is always `done`, `stopped` or
   * `error` (the answer's own failure). Throws RequestError if the question is refused or the
   * answer cannot be followed (`unreachable`, `timeout`, or a code of docs/protocol.md §3), and the
   * signal's reason. Leaving the loop or aborting does not stop the answer on the server.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<ChatEvent, void> {
    const { signal, timeoutMs, buffer } = this.#options;
    const leave = () => this.#reading.abort(signal?.reason);
    if (signal?.aborted) leave();
    else signal?.addEventListener("abort", leave, { signal: this.#reading.signal });
    const tooLong = () =>
      this.#reading.abort(
        new RequestError(`The answer has not ended within ${timeoutMs} ms.`, { status: 0, code: "timeout" }),
      );
    const timer = setTimeout(tooLong, timeoutMs);
    try {
      yield* buffer ? bufferText(this.#events(), buffer) : this.#events();
    } finally {
      clearTimeout(timer);
      this.#resolveFirstResponse();
      this.#reading.abort();
    }
  }

  /**
   * Stops the answer on the server, at any time: before the first response it waits for that.
   * Resolves once the end is stored, with the final status, which may be `complete`; null if the
   * question never arrived.
   */
  stop(): Promise<string | null> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<string | null> {
    await this.#firstResponse;
    if (!this.turnId) return null;
    try {
      return (await createApi(this.#options.http).endTurn(this.turnId)).status;
    } catch (error) {
      // The next call retries.
      this.#stopping = undefined;
      throw error;
    }
  }

  async *#events(): AsyncGenerator<ChatEvent, void> {
    for await (const decoded of this.#decoded()) {
      const event = this.#received.add(decoded);
      if (!event) continue;
      // Some formats do not distinguish a stopped answer from a finished one, but we know if we
      // stopped it.
      if (event.type === "done" && (await this.#wasStopped())) yield { type: "stopped" };
      else yield event;
      if (isEnd(event)) return;
    }
  }

  async #wasStopped(): Promise<boolean> {
    return (await this.#stopping?.catch(() => null)) === "stopped";
  }

  async *#decoded(): AsyncGenerator<DecodedEvent, void> {
    const { http, limits, report, wake } = this.#options;
    const { signal } = this.#reading;
    const send = (lineSignal: AbortSignal) => this.#send(lineSignal);
    const follower = new Follower({ http, send, signal, wake, limits, report, format: this.#format() });
    try {
      await follower.open();
    } catch (error) {
      if (!(error instanceof RequestError && error.temporary) || !this.#options.dialect.fullResponse) throw error;
      return yield* await this.#fetchWhole(signal);
    }
    yield* follower.items();
  }

  #format(): Format<DecodedEvent> {
    const { dialect, name } = this.#options;
    return {
      decode: (frame) => dialect.decode(frame),
      isLast: isEnd,
      resumePath: (turnId, cursor) => {
        const own = dialect.resumePath?.(this.#question());
        if (own !== undefined) return cursor === undefined ? null : `${own}?after=${encodeURIComponent(cursor)}`;
        const query = new URLSearchParams({ dialect: name, ...(cursor !== undefined && { after: cursor }) });
        return `/api/turns/${encodeURIComponent(turnId)}/stream?${query}`;
      },
      findRest: (turnId, signal) =>
        // This request lasts as long as the answer, so silence means nothing: only the reader's
        // timeout applies.
        dialect.fullResponse ? this.#fetchWhole(this.#reading.signal) : this.#fetchStored(turnId, signal),
    };
  }

  /**
   * The first request, retried with the same key until it is answered: one question, whatever the
   * network does.
   */
  async #send(signal: AbortSignal): Promise<Response> {
    const { http, dialect, name } = this.#options;
    await this.#ensureChat(signal);
    const response = await this.#post(dialect.toRequest(this.#question()), "text/event-stream", signal);
    if (name !== "text" || !this.turnId) return response;
    // Only the turn of the native response is needed, not its body.
    await abortableRead(signal, async () => response.body?.cancel());
    return request(http, `/api/turns/${encodeURIComponent(this.turnId)}/stream?dialect=text`, { signal });
  }

  async #post({ path, body }: { path: string; body: object }, accept: string, signal: AbortSignal): Promise<Response> {
    const { http, question } = this.#options;
    const headers = { "Content-Type": "application/json", Accept: accept, "Idempotency-Key": question.key };
    const response = await request(http, path, { method: "POST", headers, body: JSON.stringify(body), signal });
    this.turnId ??= turnIdOf(response);
    if (!this.turnId) return response;
    this.chatId ??= response.headers.get("X-Chat-Id") ?? undefined;
    this.#resolveFirstResponse();
    return response;
  }

  async #ensureChat(signal: AbortSignal): Promise<void> {
    const { http, dialect, question } = this.#options;
    if (!dialect.needsChat || this.#chat !== undefined) return;
    try {
      await createApi(http).createChat({ id: question.key }, { signal });
    } catch (error) {
      // An earlier attempt created it, and its response was lost.
      if (!(error instanceof RequestError && error.status === 409)) throw error;
    }
    this.#chat = question.key;
  }

  #question(): QuestionRequest {
    return { ...this.#options.question, chat: this.#chat };
  }

  /** The answer in one piece, minus what has arrived: the same question with the same key. */
  async #fetchWhole(signal: AbortSignal): Promise<ChatEvent[]> {
    const { fullResponse } = this.#options.dialect;
    if (!fullResponse) throw new Error("This format has no complete answer.");
    try {
      const response = await this.#post(fullResponse.ask(this.#question()), "application/json", signal);
      const body = await abortableRead(signal, () => response.text());
      return this.#missingOf(fullResponse.decode(JSON.parse(body)));
    } catch (error) {
      if (error instanceof SyntaxError) throw badResponse("The server's answer is not JSON.", 200, error);
      if (!(error instanceof RequestError) || error.status !== 502 || error.details.turnId === undefined) throw error;
      return this.#fetchFailed(String(error.details.turnId), error, signal);
    }
  }

  /**
   * A failed answer has no whole form; its text is in the stored message, which pages of other
   * origins may not read.
   */
  async #fetchFailed(turnId: string, { message, code }: RequestError, signal: AbortSignal): Promise<ChatEvent[]> {
    try {
      const rest = await this.#fetchStored(turnId, signal);
      if (rest) return rest;
    } catch (error) {
      if (signal.aborted || !(error instanceof RequestError)) throw error;
    }
    return [{ type: "error", message, ...(!code.startsWith("http_") && { code }) }];
  }

  /** The rest from the stored message; null while the turn runs. */
  async #fetchStored(turnId: string, signal: AbortSignal): Promise<ChatEvent[] | null> {
    const stored = await findStoredAnswer(this.#options.http, turnId, signal);
    return stored && this.#missingOf(eventsOf(stored, this.#options.dialect.textSeparator));
  }

  #missingOf(whole: ChatEvent[]): ChatEvent[] {
    const rest = this.#received.missingOf(whole);
    if (!rest) throw badResponse("The server's answer does not continue what it sent before.", 200);
    return rest;
  }
}
