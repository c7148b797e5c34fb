// Ends a provider's call that has gone silent: before the first content, or between two parts of the stream.
// The AI SDK's own `timeout.firstChunkMs` starts only when the response stream does, so a provider that accepts the
// connection and never answers would hang for ever; here the clock starts with the request (docs/protocol.md §7).
import type { LanguageModelV4StreamPart } from "@ai-sdk/provider";
import type { LanguageModelMiddleware } from "ai";

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

export type Timeouts = {
  /** From the request to the first part with content. */
  firstChunkMs: number;
  /** From one part to the next. */
  chunkMs: number;
};

/**
 * Parts pass unchanged and in order, up to the first failure, which is the last part (`error`). On a timeout the request
 * is aborted (its socket closes) and the call fails, or its stream ends, with ProviderTimeoutError. Only time spent waiting for the provider counts, never a slow consumer's.
 * An answer asked for whole is one chunk. The caller's own abort passes through.
 */
export function timeouts({ firstChunkMs, chunkMs }: Timeouts): LanguageModelMiddleware {
  return {
    specificationVersion: "v4",

    async wrapGenerate({ params, model }) {
      const silence = watch(firstChunkMs, firstChunkMs, params.abortSignal);
      try {
        return await Promise.race([model.doGenerate({ ...params, abortSignal: silence.signal }), silence.expired]);
      } finally {
        silence.end();
      }
    },

    async wrapStream({ params, model }) {
      const silence = watch(firstChunkMs, Math.min(firstChunkMs, chunkMs), params.abortSignal);
      try {
        const call = model.doStream({ ...params, abortSignal: silence.signal });
        const { stream, ...rest } = await Promise.race([call, silence.expired]);
        return { ...rest, stream: guard(stream, silence, chunkMs, params.abortSignal) };
      } catch (error) {
        silence.end();
        throw error;
      }
    },
  };
}

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
  chunkMs: number,
  caller: AbortSignal | undefined,
): ReadableStream<LanguageModelV4StreamPart> {
  const reader = source.getReader();
  let begun = false;
  let ended = false;
  return new ReadableStream<LanguageModelV4StreamPart>(
    {
      start(controller) {
        silence.expired.catch((error) => fail(controller, error));
      },
      async pull(controller) {
        if (begun) silence.restart(chunkMs);
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
          begun ||= !preamble.has(value.type);
          if (begun) silence.pause();
          controller.enqueue(value);
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
  /** Rejects with ProviderTimeoutError on expiry; never resolves. */
  expired: Promise<never>;
  restart(limitMs: number): void;
  pause(): void;
  end(): void;
};

/**
 * One timer a call: parts only move the deadline, and the timer, when it fires early, sleeps for what is left. It never
 * sleeps longer than `tickMs`, the shortest limit in use, so that a deadline moved nearer is not overslept.
 */
function watch(firstLimitMs: number, tickMs: number, caller: AbortSignal | undefined): Silence {
  const controller = new AbortController();
  const { promise: expired, reject } = Promise.withResolvers<never>();
  // Whoever waits for it sees the rejection; without a waiter it must not count as unhandled.
  expired.catch(() => {});
  let limit = firstLimitMs;
  let deadline = performance.now() + limit;
  let timer = setTimeout(check, tickMs);

  function check(): void {
    if (caller?.aborted) return;
    const left = deadline - performance.now();
    if (left > 0) {
      timer = setTimeout(check, Math.ceil(Math.min(left, tickMs)));
      return;
    }
    const error = new ProviderTimeoutError(limit);
    reject(error);
    controller.abort(error);
  }

  return {
    signal: caller ? AbortSignal.any([caller, controller.signal]) : controller.signal,
    expired,
    restart(limitMs) {
      limit = limitMs;
      deadline = performance.now() + limitMs;
    },
    pause() {
      deadline = Number.POSITIVE_INFINITY;
    },
    end() {
      clearTimeout(timer);
    },
  };
}
