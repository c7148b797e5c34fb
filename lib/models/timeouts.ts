// Ends a provider's call that has gone silent: while it connects, before the first byte of the answer, or between two bytes. Bytes count, not
// what an adapter makes of them: a comment, a ping and a model's hidden reasoning are signs of life (docs/protocol.md §7).
import type { LanguageModelV4StreamPart } from "@ai-sdk/provider";
import type { LanguageModelMiddleware } from "ai";
import { completed } from "./endings";
import { type ModelProgress, progressOf } from "./model-progress";
import { watchActivity } from "./silence";

/** The provider was silent for too long. Its request was aborted; what it had sent before was delivered. */
export class ProviderTimeoutError extends Error {
  readonly limitMs: number;

  constructor(limitMs: number) {
    super(`The model provider sent nothing for ${limitMs} ms.`);
    this.name = "ProviderTimeoutError";
    this.limitMs = limitMs;
  }

  /** As `instanceof`, also for one of another bundle: which of them made the catalogue is chance. */
  static is(error: unknown): error is ProviderTimeoutError {
    return error instanceof Error && error.name === "ProviderTimeoutError";
  }
}

/** Nobody answered at the provider's address in time. Looks like any other connection that failed. */
export class ConnectTimeoutError extends Error {
  readonly code = "ETIMEDOUT";

  constructor(limitMs: number) {
    super(`The model provider could not be connected to within ${limitMs} ms.`);
    this.name = "ConnectTimeoutError";
  }
}

export type Timeouts = {
  /** Until the connection stands. */
  connectMs?: number;
  /** From the request to the first byte of the answer, or its first part; also for the silence of a model that is known to think. */
  firstChunkMs: number;
  /** From one byte, or part, to the next. */
  chunkMs: number;
  /** Silence before the response may be a model that is being loaded: shown to people, and nothing else. */
  loads?: boolean;
};

/** Ten times what a far server needs under load. */
const connectLimitMs = 10_000;

/**
 * Parts pass in order, up to the first failure, which is the last part (`error`); the end is completed
 * (endings.ts), all others are unchanged. On a timeout the request is aborted (its socket closes) and the
 * call fails, or its stream ends, with ProviderTimeoutError. Only time spent waiting for the provider
 * counts, never a slow consumer's. An answer asked for whole is one chunk. The caller's own abort passes
 * through.
 */
export function timeouts(limits: Timeouts): LanguageModelMiddleware {
  const { firstChunkMs } = limits;
  return {
    specificationVersion: "v4",

    async wrapGenerate({ params, model }) {
      const silence = watch({ ...limits, chunkMs: firstChunkMs }, params.abortSignal);
      try {
        return await Promise.race([model.doGenerate({ ...params, abortSignal: silence.signal }), silence.expired]);
      } finally {
        silence.end();
      }
    },

    async wrapStream({ params, model }) {
      const silence = watch(limits, params.abortSignal);
      try {
        const call = model.doStream({ ...params, abortSignal: silence.signal });
        const { stream, ...rest } = await Promise.race([call, silence.expired]);
        silence.progress?.responding();
        return { ...rest, stream: guard(stream, silence, params.abortSignal) };
      } catch (error) {
        silence.end();
        throw error;
      }
    },
  };
}

/** Where an answer begins. Reasoning comes before it. */
const beginnings = new Set<LanguageModelV4StreamPart["type"]>(["text-delta", "tool-input-start", "tool-call", "file"]);

/** Headers of a stream, not content: a provider may send them at once and then think for ever. */
const preamble = new Set<LanguageModelV4StreamPart["type"]>(["stream-start", "response-metadata", "raw"]);

/**
 * The first failure becomes an `error` part and the end of the stream. Not an errored stream: that would throw away what
 * is still queued before the failure. And not one part among others, as the SDK's adapters have it for a frame they
 * cannot read: text that goes on after a hole would be stored as if it were whole.
 */
function guard(
  source: ReadableStream<LanguageModelV4StreamPart>,
  silence: Silence,
  caller: AbortSignal | undefined,
): ReadableStream<LanguageModelV4StreamPart> {
  const reader = source.getReader();
  let ended = false;
  let answers = false;
  return new ReadableStream<LanguageModelV4StreamPart>(
    {
      start(controller) {
        silence.expired.catch((error) => fail(controller, error));
      },
      async pull(controller) {
        silence.resume();
        try {
          const { done, value } = await reader.read();
          if (ended) return;
          if (done) {
            end();
            controller.close();
            return;
          }
          if (value.type === "error") {
            fail(controller, value.error);
            await reader.cancel();
            return;
          }
          silence.pause(!preamble.has(value.type));
          if (value.type === "reasoning-start") silence.progress?.reasoning();
          if (!answers && beginnings.has(value.type)) {
            answers = true;
            silence.progress?.answering();
          }
          // Here, since a middleware of its own would be one stream more for every text to pass.
          for (const part of completed(value)) controller.enqueue(part);
        } catch (error) {
          if (caller?.aborted) {
            end();
            throw error;
          }
          fail(controller, error);
        }
      },
      async cancel(reason) {
        end();
        await reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );

  function fail(controller: ReadableStreamDefaultController<LanguageModelV4StreamPart>, error: unknown): void {
    if (ended) return;
    end();
    controller.enqueue({ type: "error", error });
    controller.close();
  }

  function end(): void {
    ended = true;
    silence.end();
  }
}

type Silence = {
  /** Aborts on expiry and with the caller's own signal. */
  signal: AbortSignal;
  /** Of the caller; null when it does not want to know. */
  progress: ModelProgress | null;
  /** Rejects on expiry; never resolves. */
  expired: Promise<never>;
  /** The provider is waited for again. */
  resume(): void;
  /** It is not, for its consumer is at work; `begun`: what came was content. */
  pause(begun: boolean): void;
  end(): void;
};

/**
 * One timer a call: what comes only moves the deadline, and the timer, when it fires early, sleeps for what is left. It never
 * sleeps longer than the shortest limit in use, so that a deadline moved nearer is not overslept.
 */
function watch(
  { connectMs = connectLimitMs, firstChunkMs, chunkMs, loads = false }: Timeouts,
  caller: AbortSignal | undefined,
): Silence {
  const controller = new AbortController();
  const { promise: expired, reject } = Promise.withResolvers<never>();
  // Whoever waits for it sees the rejection; without a waiter it must not count as unhandled.
  expired.catch(() => {});
  const progress = progressOf(caller);
  progress?.begin(loads);
  const tickMs = Math.min(firstChunkMs, chunkMs);
  let limitMs = firstChunkMs;
  let begun = false;
  let paused = false;
  let deadline = performance.now() + limitMs;
  let timer = setTimeout(check, tickMs);
  // Behind HTTP of another kind nobody says when it stands; then only the first byte is waited for.
  let connecting: NodeJS.Timeout | undefined;

  function check(): void {
    if (caller?.aborted) return;
    const left = paused ? tickMs : deadline - performance.now();
    if (left > 0) {
      timer = setTimeout(check, Math.ceil(Math.min(left, tickMs)));
      return;
    }
    expire(new ProviderTimeoutError(limitMs));
  }

  function expire(error: Error): void {
    end();
    reject(error);
    controller.abort(error);
  }

  function wait(): void {
    deadline = performance.now() + limitMs;
  }

  function end(): void {
    clearTimeout(timer);
    clearTimeout(connecting);
    caller?.removeEventListener("abort", follow);
    progress?.end();
  }

  // `AbortSignal.any` would do the same with weak references, which each collection has to look at.
  const { signal } = controller;
  const follow = () => controller.abort(caller?.reason);
  caller?.addEventListener("abort", follow, { once: true });
  if (caller?.aborted) follow();
  watchActivity(signal, {
    connecting() {
      clearTimeout(connecting);
      connecting = setTimeout(() => expire(new ConnectTimeoutError(connectMs)), connectMs);
    },
    connected() {
      clearTimeout(connecting);
    },
    responding() {
      progress?.responding();
    },
    bytes(thinking = false) {
      begun = true;
      limitMs = thinking ? firstChunkMs : chunkMs;
      wait();
    },
  });
  return {
    signal,
    progress,
    expired,
    resume() {
      if (paused) wait();
      paused = false;
    },
    pause(content) {
      if (content && !begun) {
        begun = true;
        limitMs = chunkMs;
      }
      paused = begun;
    },
    end,
  };
}
