// Retries a provider call that failed before any output, if that may help: no connection, 408, 409,
// 429, 5xx. Later failures are reported, since visible text cannot be taken back (docs/protocol.md
// §7).
import type { LanguageModelV4CallOptions } from "@ai-sdk/provider";
import { delay, retryWithExponentialBackoff } from "@ai-sdk/provider-utils";
import { APICallError, type LanguageModelMiddleware, RetryError } from "ai";
import { maxReportedBytes } from "./answer-events";
import { progressOf } from "./model-progress";
import { refusalOf } from "./refusals";

/** Attempts after 2 s and 4 s more, unless the provider names a delay. */
const maxRetries = 2;
/** A longer requested delay is ignored in favour of the usual backoff. */
const maxRetryAfterMs = 60_000;

/** Poll interval while a model is loading. */
const loadingPauseMs = 2_000;

export type RetryOptions = {
  /** How long a server may report that it is loading the model. */
  loadingMs: number;
};

export function retries({ loadingMs }: RetryOptions): LanguageModelMiddleware {
  const call = ({ abortSignal, providerOptions }: LanguageModelV4CallOptions) => {
    const startMs = performance.now();
    const repeat = retryWithExponentialBackoff({
      // The client retries by itself and wants failures immediately.
      maxRetries: providerOptions?.rivulet?.repeats === false ? 0 : maxRetries,
      abortSignal,
      // Some servers refuse permanently with 429 or 500.
      shouldRetry: (error) => APICallError.isInstance(error) && error.isRetryable && refusalOf(error) === null,
      getDelayInMs: ({ error, exponentialBackoffDelay }) => retryAfterMs(error) ?? exponentialBackoffDelay,
      createRetryError: (failure) => new RetryError(failure),
    });
    return <T>(send: () => PromiseLike<T>): PromiseLike<T> => {
      const whenLoaded = async (): Promise<T> => {
        for (;;) {
          try {
            return await send();
          } catch (error) {
            if (!isLoading(error) || performance.now() - startMs > loadingMs) throw error;
            progressOf(abortSignal)?.loading();
            await delay(retryAfterMs(error) ?? loadingPauseMs, abortSignal ? { abortSignal } : undefined);
          }
        }
      };
      return repeat(whenLoaded);
    };
  };
  return {
    specificationVersion: "v4",
    wrapGenerate: ({ params, model }) => call(params)(() => model.doGenerate(params)),
    wrapStream: ({ params, model }) => call(params)(() => model.doStream(params)),
  };
}

/**
 * llama.cpp, Hugging Face, Fireworks, SageMaker and others, in this order; never "overloaded" or a
 * failed load.
 */
const loadingWords =
  /\bloading\b|being loaded|scal(?:ing|ed).?(?:up|to zero)|not (?:yet )?(?:been )?(?:ready|loaded)|notready|warming|waking|starting up|is starting|cold start/i;
const failedWords = /\bfail|\berror (?:while )?loading|out of memory|could not|cannot|unable/i;

/** Many servers answer 503 until the model is in memory. */
function isLoading(error: unknown): boolean {
  if (!APICallError.isInstance(error) || error.statusCode !== 503) return false;
  const words = `${error.message} ${(error.responseBody ?? "").slice(0, maxReportedBytes)}`;
  return loadingWords.test(words) && !failedWords.test(words);
}

/**
 * The provider's requested delay: milliseconds in OpenAI's header, else seconds, possibly
 * fractional, or a date (RFC 9110 §10.2.3).
 */
export function retryAfterMs(error: unknown): number | null {
  const headers = (APICallError.isInstance(error) && error.responseHeaders) || {};
  const { "retry-after-ms": millis, "retry-after": after = "" } = headers;
  const seconds = /^\d+(?:\.\d+)?$/.test(after) ? Number(after) : null;
  const waitMs = millis ? Number(millis) : seconds !== null ? seconds * 1_000 : Date.parse(after) - Date.now();
  return waitMs < maxRetryAfterMs ? Math.max(0, waitMs) : null;
}
