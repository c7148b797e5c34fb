// A turn followed to its terminal over as many connections as it takes (docs/protocol.md §2 and §5): reopen at the
// cursor, wait between attempts, and when streaming keeps failing ask for the turn's state instead. Ends only with a
// terminal, an error or the reader's leaving; never because a connection ended.
import { isTerminal, type TurnChunk } from "@/lib/turn/chunks";
import { parseCursor } from "@/lib/turn/cursor";
import { createApi } from "./api";
import { type Backoff, backoffMs, pause, type Wake } from "./backoff";
import { catchUp, type Received } from "./catch-up";
import type { ConnectionState } from "./connection";
import { Line } from "./line";
import { badResponse, type Http, RequestError, request, unreachable } from "./request";

export type Patience = {
  firstByteMs: number;
  silenceMs: number;
  backoff: Backoff;
  /** How often the first request is sent before its failure is told. */
  openAttempts: number;
  /** Streams in a row that brought no chunk before the turn's state is polled. */
  failuresBeforePolling: number;
  pollMs: number;
};

type FollowerOptions = {
  http: Http;
  /** The first request: starts or finds the turn. Repeated unchanged until the turn's id is known. */
  send: (signal: AbortSignal) => Promise<Response>;
  /** Aborted when the reader leaves. That stops the reading, never the turn. */
  signal: AbortSignal;
  wake: Wake;
  patience: Patience;
  report: (state: ConnectionState) => void;
};

/** No server may keep a page waiting longer than this, whatever its Retry-After says. */
const longestRetryAfterMs = 30_000;

export class Follower {
  readonly #options: FollowerOptions;
  readonly #received: Received = { started: false, steps: 0 };
  #line: Line | undefined;
  #response: Response | undefined;
  #turnId: string | undefined;
  #cursor: string | undefined;

  constructor(options: FollowerOptions) {
    this.#options = options;
  }

  /** Sends the first request until it is answered. Throws RequestError, or the reason of the abort. */
  async open(): Promise<Response> {
    this.#options.report("connecting");
    try {
      return await this.#openPatiently();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  async #openPatiently(): Promise<Response> {
    const { patience, report } = this.#options;
    for (let failures = 1; ; failures++) {
      try {
        return await this.#connect(patience.firstByteMs);
      } catch (error) {
        this.#line?.close();
        if (!(error instanceof RequestError && error.temporary) || failures >= patience.openAttempts) throw error;
        report("reconnecting");
        await this.#wait(backoffMs(failures, patience.backoff), error);
      }
    }
  }

  /** Frees the connection; the reader may be told something else afterwards. */
  close(): void {
    this.#line?.close();
    this.#line = undefined;
    this.#options.report("idle");
  }

  /**
   * The turn's chunks in order, each once, up to and including the terminal. Throws RequestError when the turn cannot
   * be followed any more (`unauthorized`, `not_found`, `bad_response`), or the reason of the abort.
   */
  async *chunks(): AsyncGenerator<TurnChunk, void> {
    const { patience, report } = this.#options;
    let failures = 0;
    let gone: RequestError | undefined;
    try {
      for (;;) {
        let failure: RequestError;
        const polling = failures >= patience.failuresBeforePolling;
        try {
          if (this.#turnId && (polling || gone)) {
            const rest = await this.#findRest(this.#turnId);
            if (rest) return yield* rest;
            if (gone) throw gone;
          }
          if (!this.#line) await this.#connect(polling ? patience.pollMs : patience.firstByteMs);
          for await (const chunk of this.#deliver()) {
            failures = 0;
            yield chunk;
            if (isTerminal(chunk)) return;
          }
          failure = unreachable(new Error("The stream ended before the turn did."));
        } catch (error) {
          if (!(error instanceof RequestError)) throw error;
          // The turn may have ended long ago and its log be pruned: its state decides.
          const lookUp = !gone && this.#turnId !== undefined && [204, 404].includes(error.status);
          if (lookUp) gone = error;
          // Here, unlike in a first request, being asked to slow down is no reason to give an answer up.
          else if (!error.temporary && error.status !== 429) throw error;
          failure = error;
        }
        const again = this.#line?.moved || failure === gone;
        this.#line?.close();
        this.#line = undefined;
        if (!again) failures += 1;
        const waitsForPoll = failures >= patience.failuresBeforePolling;
        report(waitsForPoll ? "polling" : "reconnecting");
        if (!again) await this.#wait(waitsForPoll ? patience.pollMs : backoffMs(failures, patience.backoff), failure);
      }
    } finally {
      this.close();
    }
  }

  #newLine(firstByteMs: number): Line {
    const { signal, wake, patience, report } = this.#options;
    return new Line({ signal, wake, firstByteMs, silenceMs: patience.silenceMs, onByte: () => report("live") });
  }

  async #connect(firstByteMs: number): Promise<Response> {
    const { http, send } = this.#options;
    const line = this.#newLine(firstByteMs);
    this.#line = line;
    if (this.#turnId) {
      const after = this.#cursor ? `?after=${encodeURIComponent(this.#cursor)}` : "";
      const path = `/api/turns/${encodeURIComponent(this.#turnId)}/stream${after}`;
      this.#response = await request(http, path, { signal: line.signal });
      if (this.#response.status === 204) throw badResponse("The server has nothing more of this answer.", 204);
    } else {
      this.#response = await send(line.signal);
      this.#turnId = this.#response.headers.get("X-Turn-Id") ?? undefined;
    }
    return this.#response;
  }

  /** Chunks of the open line that lie behind the cursor it was opened at. */
  async *#deliver(): AsyncGenerator<TurnChunk> {
    const after = this.#cursor;
    // Without an id there is no place to come back to: such chunks wait for the next id, which covers them.
    let held: TurnChunk[] = [];
    if (!this.#line || !this.#response) return;
    for await (const { id, chunk } of this.#line.frames(this.#response)) {
      held.push(chunk);
      if (id === undefined && !isTerminal(chunk)) continue;
      const arrived = held;
      held = [];
      if (id !== undefined) {
        if (after !== undefined && !isBehind(id, after)) continue;
        this.#cursor = id;
        this.#turnId ??= parseCursor(id)?.turnId;
      }
      for (const next of arrived) {
        this.#received.started = true;
        if (next.type === "start-step") this.#received.steps += 1;
        yield next;
      }
    }
  }

  /** What is missing of the stored message; null while the turn runs. */
  async #findRest(turnId: string): Promise<TurnChunk[] | null> {
    const api = createApi(this.#options.http);
    const line = this.#newLine(this.#options.patience.silenceMs);
    try {
      const { signal } = line;
      const turn = await api.requireTurn(turnId, { signal });
      if (turn.status === "running") return null;
      const stored = (await api.listMessages(turn.chatId, { signal })).find(({ id }) => id === turn.messageId);
      if (stored) return catchUp(stored, this.#received);
      throw new RequestError("This answer is no longer part of the conversation.", { status: 404, code: "not_found" });
    } finally {
      line.close();
    }
  }

  async #wait(ms: number, { retryAfterMs = 0 }: RequestError): Promise<void> {
    const { wake, signal } = this.#options;
    await pause(Math.max(ms, Math.min(retryAfterMs, longestRetryAfterMs)), wake, signal);
  }
}

/** A server that ignores the cursor must not make a reader see things twice. */
function isBehind(id: string, cursor: string): boolean {
  const at = parseCursor(id);
  const from = parseCursor(cursor);
  if (!at || !from || at.turnId !== from.turnId) return true;
  return at.seq > from.seq || (at.seq === from.seq && at.n > from.n);
}
