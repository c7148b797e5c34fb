// Ends a provider call that has gone silent: while connecting, before the first byte, or between
// bytes. Bytes count, not what an adapter makes of them: comments, pings and hidden reasoning are
// signs of life (docs/protocol.md §7).
import type { LanguageModelV4StreamPart } from "@ai-sdk/provider";
import type { LanguageModelMiddleware } from "ai";
import { restoreDroppedFields } from "./dropped-fields";
import { type ModelProgress, progressOf } from "./model-progress";
import { watchActivity } from "./silence";
import { attachHold, holdOf } from "./text-hold";

/**
 * The provider was silent for too long. The request was aborted; data received before was
 * delivered.
 */
export class ProviderTimeoutError extends Error {
  readonly limitMs: number;

  constructor(limitMs: number) {
    super(`The model provider sent nothing for ${limitMs} ms.`);
    this.name = "ProviderTimeoutError";
    this.limitMs = limitMs;
  }

  /** Works like `instanceof` across bundles: any of them may have created the catalogue. */
  static is(error: unknown): error is ProviderTimeoutError {
    return error instanceof Error && error.name === "ProviderTimeoutError";
  }
}

/** The provider's address did not answer in time. Treated like any failed connection. */
export class ConnectTimeoutError extends Error {
  readonly code = "ETIMEDOUT";

  constructor(limitMs: number) {
    super(`The model provider could not be connected to within ${limitMs} ms.`);
    this.name = "ConnectTimeoutError";
  }
}

export type Timeouts = {
  connectMs?: number;
  /** From the request to the first byte or part; also the limit while a model is known to think. */
  firstChunkMs: number;
  /** Between bytes or parts. */
  chunkMs: number;
  /** Silence before the response may be a loading model; affects only what users are shown. */
  loads?: boolean;
};

/** Ten times what a distant server needs under load. */
const connectLimitMs = 10_000;

/**
 * Parts pass in order up to the first failure, which becomes the last part (`error`); the end is
 * completed (endings.ts), all others pass unchanged. On a timeout the request is aborted (its
 * socket closes) and the call or stream fails with ProviderTimeoutError. Only time spent waiting
 * for the provider counts, never a slow consumer's. A non-streamed answer is one chunk. The
 * caller's own abort passes through.
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

/** Parts that start an answer. Reasoning precedes it. */
const beginnings = new Set<LanguageModelV4StreamPart["type"]>(["text-delta", "tool-input-start", "tool-call", "file"]);

/** Stream preamble, not content: a provider may send these at once and then think forever. */
const preamble = new Set<LanguageModelV4StreamPart["type"]>(["stream-start", "response-metadata", "raw"]);

/**
 * The first failure becomes an `error` part and ends the stream. Not an errored stream: that would
 * discard parts queued before the failure. And not one part among others, as the SDK's adapters
 * emit for an unreadable frame: text after a gap would be stored as if it were complete.
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
          // Here, since separate middleware would be one more stream for every text.
          for (const part of restoreDroppedFields(value)) controller.enqueue(part);
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
  /** Aborts on expiry and with the caller's signal. */
  signal: AbortSignal;
  /** The caller's; null without a listener. */
  progress: ModelProgress | null;
  /** Rejects on expiry; never resolves. */
  expired: Promise<never>;
  /** Waiting for the provider again. */
  resume(): void;
  /** The consumer is working; `started`: content has arrived. */
  pause(begun: boolean): void;
  end(): void;
};

/**
 * One timer per call: activity only moves the deadline, and a timer that fires early sleeps for the
 * rest. It never sleeps longer than the shortest limit in use, so a deadline moved nearer is not
 * overslept.
 */
function watch(
  { connectMs = connectLimitMs, firstChunkMs, chunkMs, loads = false }: Timeouts,
  caller: AbortSignal | undefined,
): Silence {
  const controller = new AbortController();
  const { promise: expired, reject } = Promise.withResolvers<never>();
  // Waiters see the rejection; without one it must not count as unhandled.
  expired.catch(() => {});
  const progress = progressOf(caller);
  progress?.begin(loads);
  const tickMs = Math.min(firstChunkMs, chunkMs);
  let limitMs = firstChunkMs;
  let started = false;
  let paused = false;
  let deadline = performance.now() + limitMs;
  let timer = setTimeout(check, tickMs);
  // Other HTTP implementations do not report the connection; then only the first byte is awaited.
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

  // `AbortSignal.any` would use weak references, which every garbage collection must visit.
  const { signal } = controller;
  const follow = () => controller.abort(caller?.reason);
  caller?.addEventListener("abort", follow, { once: true });
  if (caller?.aborted) follow();
  attachHold(signal, holdOf(caller));
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
      started = true;
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
      if (content && !started) {
        started = true;
        limitMs = chunkMs;
      }
      paused = started;
    },
    end,
  };
}
