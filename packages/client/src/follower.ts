// Follows a turn to its terminal over as many connections as needed (docs/protocol.md §2 and §5):
// reconnects at the cursor, backs off between attempts and while the page is hidden, and polls the
// turn's state if streaming keeps failing. Ends only with a terminal, an error or the reader's
// leaving, never because a connection ended. A `Format` decodes the events.
import { parseCursor } from "../../../lib/turn/cursor.ts";
import { type Backoff, backoffMs, pause, untilVisible, type Wake } from "./backoff.ts";
import type { ConnectionState } from "./connection.ts";
import { badResponse, type Http, RequestError, request, turnIdOf, unreachable } from "./request.ts";
import { type Frame, StreamConnection } from "./stream-connection.ts";

export type FollowLimits = {
  firstByteMs: number;
  silenceMs: number;
  backoff: Backoff;
  /** Attempts of the first request before its failure is reported. */
  openAttempts: number;
  /** Consecutive streams without a chunk before polling starts. */
  failuresBeforePolling: number;
  pollMs: number;
  /**
   * Consecutive attempts without any response about the turn before the reader gets an error.
   * Infinity: never.
   */
  attempts: number;
};

/** How a turn is read: each event yields zero or more `Item`s for the reader. */
export type Format<Item> = {
  /**
   * Throws RequestError `bad_response` for invalid input. May be called again with an event it has
   * seen.
   */
  decode(frame: Frame): Item[] | Promise<Item[]>;
  /** True if this item ends the turn. */
  isLast(item: Item): boolean;
  /** Path that resumes the turn after the cursor. Null: repeat the first request to find it. */
  resumePath(turnId: string, cursor: string | undefined): string | null;
  /** Everything the reader lacks of an ended turn; null while it runs. */
  findRest(turnId: string, signal: AbortSignal): Promise<Item[] | null>;
};

type FollowerOptions<Item> = {
  http: Http;
  format: Format<Item>;
  /** The first request: starts or finds the turn. Repeated unchanged until the turn id is known. */
  send: (signal: AbortSignal) => Promise<Response>;
  /** Aborted when the reader leaves. That stops reading, never the turn. */
  signal: AbortSignal;
  wake: Wake;
  limits: FollowLimits;
  report: (state: ConnectionState) => void;
};

/** Upper bound for Retry-After. */
const maxRetryAfterMs = 30_000;

export class Follower<Item> {
  readonly #options: FollowerOptions<Item>;
  #connection: StreamConnection | undefined;
  #response: Response | undefined;
  #turnId: string | undefined;
  #cursor: string | undefined;
  /** Consecutive streams that brought nothing of the turn. */
  #failures = 0;
  /** Consecutive attempts, including polls, without any response about it. */
  #unanswered = 0;

  constructor(options: FollowerOptions<Item>) {
    this.#options = options;
  }

  /** Sends the first request until it is answered. Throws RequestError, or the abort's reason. */
  async open(): Promise<Response> {
    this.#options.report("connecting");
    try {
      return await this.#openWithRetries();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  async #openWithRetries(): Promise<Response> {
    const { limits, report } = this.#options;
    for (let failures = 1; ; failures++) {
      try {
        return await this.#connect(limits.firstByteMs);
      } catch (error) {
        this.#connection?.close();
        if (!(error instanceof RequestError && error.temporary) || failures >= limits.openAttempts) throw error;
        report("reconnecting");
        await this.#wait(backoffMs(failures, limits.backoff), error);
      }
    }
  }

  /** Closes the connection and reports `idle`. */
  close(): void {
    this.#connection?.close();
    this.#connection = undefined;
    this.#options.report("idle");
  }

  /**
   * The turn's items in order, each once, up to and including the last. Throws RequestError if the
   * turn can no longer be followed (`unauthorized`, `not_found`, `bad_response`, `unreachable`
   * after the last attempt), or the abort's reason.
   */
  async *items(): AsyncGenerator<Item, void> {
    const { format, limits, report } = this.#options;
    let notFound: RequestError | undefined;
    try {
      for (;;) {
        let failure: RequestError;
        const polling = this.#failures >= limits.failuresBeforePolling;
        try {
          if (this.#turnId && (polling || notFound)) {
            const rest = await this.#findRest(this.#turnId);
            if (rest) return yield* rest;
            if (notFound) throw notFound;
            this.#unanswered = 0;
          }
          if (!this.#connection) await this.#connect(polling ? limits.pollMs : limits.firstByteMs);
          for await (const item of this.#deliver()) {
            yield item;
            if (format.isLast(item)) return;
          }
          failure = unreachable(new Error("The stream ended before the turn did."));
        } catch (error) {
          if (!(error instanceof RequestError)) throw error;
          // The turn may have ended long ago and its log been pruned: its state decides.
          const isNotFound = !notFound && this.#turnId !== undefined && [204, 404].includes(error.status);
          if (isNotFound) notFound = error;
          // Unlike in a first request, 429 is no reason to give up an answer.
          else if (!error.temporary && error.status !== 429) throw error;
          failure = error;
        }
        if (this.#connection?.parked) {
          this.#connection = undefined;
          report("parked");
          await untilVisible(this.#options.wake, this.#options.signal);
          continue;
        }
        const retryNow = this.#connection?.networkChanged || failure === notFound;
        this.#connection?.close();
        this.#connection = undefined;
        if (!retryNow) {
          this.#failures += 1;
          this.#unanswered += 1;
          if (this.#unanswered >= limits.attempts) throw failure;
        }
        const waitsForPoll = this.#failures >= limits.failuresBeforePolling;
        report(waitsForPoll ? "polling" : "reconnecting");
        if (!retryNow)
          await this.#wait(waitsForPoll ? limits.pollMs : backoffMs(this.#failures, limits.backoff), failure);
      }
    } finally {
      this.close();
    }
  }

  #newConnection(firstByteMs: number): StreamConnection {
    const { signal, wake, limits, report } = this.#options;
    return new StreamConnection({
      signal,
      wake,
      firstByteMs,
      silenceMs: limits.silenceMs,
      onByte: () => report("live"),
    });
  }

  async #connect(firstByteMs: number): Promise<Response> {
    const { http, format, send } = this.#options;
    const connection = this.#newConnection(firstByteMs);
    this.#connection = connection;
    const path = this.#turnId ? format.resumePath(this.#turnId, this.#cursor) : null;
    if (path !== null) {
      this.#response = await request(http, path, { signal: connection.signal });
      if (this.#response.status === 204) throw badResponse("The server has nothing more of this answer.", 204);
    } else {
      this.#response = await send(connection.signal);
      this.#turnId = turnIdOf(this.#response);
    }
    return this.#response;
  }

  /** Items of the open line after the cursor it was opened at. */
  async *#deliver(): AsyncGenerator<Item> {
    const { format } = this.#options;
    const after = this.#cursor;
    // Without an id there is no position to resume from: such items wait for the next id, which
    // covers them.
    let withoutId: Item[] = [];
    if (!this.#connection || !this.#response) return;
    for await (const frame of this.#connection.frames(this.#response)) {
      const { id } = frame;
      withoutId.push(...(await format.decode(frame)));
      if (id === undefined && !withoutId.some(format.isLast)) continue;
      const arrived = withoutId;
      withoutId = [];
      if (id !== undefined) {
        if (after !== undefined && !isAfter(id, after)) continue;
        this.#cursor = id;
        this.#failures = 0;
        this.#unanswered = 0;
        this.#turnId ??= parseCursor(id)?.turnId;
      }
      yield* arrived;
    }
  }

  async #findRest(turnId: string): Promise<Item[] | null> {
    const connection = this.#newConnection(this.#options.limits.silenceMs);
    try {
      return await this.#options.format.findRest(turnId, connection.signal);
    } finally {
      connection.close();
    }
  }

  async #wait(ms: number, { retryAfterMs = 0 }: RequestError): Promise<void> {
    const { wake, signal } = this.#options;
    await pause(Math.max(ms, Math.min(retryAfterMs, maxRetryAfterMs)), wake, signal);
  }
}

/** Guards against repeats from a server that ignores the cursor. */
function isAfter(id: string, cursor: string): boolean {
  const at = parseCursor(id);
  const from = parseCursor(cursor);
  if (!at || !from || at.turnId !== from.turnId) return true;
  return at.seq > from.seq || (at.seq === from.seq && at.n > from.n);
}
