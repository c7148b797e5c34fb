// Repeats a provider's call that failed before it said anything, when trying again may help: no connection, 408, 409, 429,
// 5xx. What fails later is told, for text that was seen cannot be taken back (docs/protocol.md §7).
import type { LanguageModelV4CallOptions } from "@ai-sdk/provider";
import { delay, retryWithExponentialBackoff } from "@ai-sdk/provider-utils";
import { APICallError, type LanguageModelMiddleware, RetryError } from "ai";
import { maxKeptBytes } from "./answer-events";
import { progressOf } from "./model-progress";
import { refusalOf } from "./refusals";

/** The second attempt after two seconds and the third four later, unless the provider says when. */
const maxRetries = 2;
/** A provider that wants more patience than a person has is not waited for longer than for any other. */
const maxRetryAfterMs = 60_000;

/** Between two looks at a model that is being loaded. */
const loadingPauseMs = 2_000;

export type RetryOptions = {
  /** How long a server may say that it is still loading the model. */
  loadingMs: number;
};

export function retries({ loadingMs }: RetryOptions): LanguageModelMiddleware {
  const call = ({ abortSignal, providerOptions }: LanguageModelV4CallOptions) => {
    const startMs = performance.now();
    const repeat = retryWithExponentialBackoff({
      // Whose client repeats the call is told at once.
      maxRetries: providerOptions?.rivulet?.repeats === false ? 0 : maxRetries,
      abortSignal,
      // Some servers refuse for good with 429 or 500.
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

/** llama.cpp, Hugging Face, Fireworks, SageMaker and others, in this order; never "overloaded", nor that it could not be loaded. */
const loadingWords =
  /\bloading\b|being loaded|scal(?:ing|ed).?(?:up|to zero)|not (?:yet )?(?:been )?(?:ready|loaded)|notready|warming|waking|starting up|is starting|cold start/i;
const failedWords = /\bfail|\berror (?:while )?loading|out of memory|could not|cannot|unable/i;

/** Many servers answer 503 until the model is in memory. */
function isLoading(error: unknown): boolean {
  if (!APICallError.isInstance(error) || error.statusCode !== 503) return false;
  const words = `${error.message} ${(error.responseBody ?? "").slice(0, maxKeptBytes)}`;
  return loadingWords.test(words) && !failedWords.test(words);
}

/** What the provider asked for: milliseconds in OpenAI's header, else seconds, also fractions, or a date (RFC 9110 §10.2.3). */
export function retryAfterMs(error: unknown): number | null {
  const headers = (APICallError.isInstance(error) && error.responseHeaders) || {};
  const { "retry-after-ms": millis, "retry-after": after = "" } = headers;
  const seconds = /^\d+(?:\.\d+)?$/.test(after) ? Number(after) : null;
  const waitMs = millis ? Number(millis) : seconds !== null ? seconds * 1_000 : Date.parse(after) - Date.now();
  return waitMs < maxRetryAfterMs ? Math.max(0, waitMs) : null;
}
