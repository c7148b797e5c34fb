// Repeats a provider's call that failed before it said anything, when trying again may help: no connection, 408, 409, 429,
// 5xx. What fails later is told, for text that was seen cannot be taken back (docs/protocol.md §7).
import { retryWithExponentialBackoff } from "@ai-sdk/provider-utils";
import { APICallError, type LanguageModelMiddleware, RetryError } from "ai";

/** The second attempt after two seconds and the third four later, unless the provider says when. */
const maxRetries = 2;
/** A provider that wants more patience than a person has is not waited for longer than for any other. */
const maxRetryAfterMs = 60_000;

export function retries(): LanguageModelMiddleware {
  const call = (abortSignal: AbortSignal | undefined) =>
    retryWithExponentialBackoff({
      maxRetries,
      abortSignal,
      shouldRetry: (error) => APICallError.isInstance(error) && error.isRetryable,
      getDelayInMs: ({ error, exponentialBackoffDelay }) => retryAfterMs(error) ?? exponentialBackoffDelay,
      createRetryError: (failure) => new RetryError(failure),
    });
  return {
    specificationVersion: "v4",
    wrapGenerate: ({ params, model }) => call(params.abortSignal)(() => model.doGenerate(params)),
    wrapStream: ({ params, model }) => call(params.abortSignal)(() => model.doStream(params)),
  };
}

/** What the provider asked for: milliseconds in OpenAI's header, else seconds or a date (RFC 9110 §10.2.3). */
function retryAfterMs(error: unknown): number | null {
  const headers = (APICallError.isInstance(error) && error.responseHeaders) || {};
  const { "retry-after-ms": millis, "retry-after": after = "" } = headers;
  const waitMs = millis ? Number(millis) : /^\d+$/.test(after) ? Number(after) * 1_000 : Date.parse(after) - Date.now();
  return waitMs < maxRetryAfterMs ? Math.max(0, waitMs) : null;
}
