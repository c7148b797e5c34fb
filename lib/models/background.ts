// Answers the provider generates in the background and stores (OPENAI_BACKGROUND), using
// `background` and `store` of the Responses API. If another server has read the beginning of an
// answer, the request retrieves that answer instead of creating one.
import { hash } from "node:crypto";
import type { JSONObject, LanguageModelV4CallOptions, LanguageModelV4StreamPart } from "@ai-sdk/provider";
import { APICallError, type LanguageModelMiddleware } from "ai";
import type { UpstreamMark } from "@/lib/turn/chunks";
import { isObject } from "./answer-events";

/** Passed from the middleware to the fetch; never sent. */
const resumeHeader = "x-rivulet-resume";
const turnHeader = "x-rivulet-turn";

/** Requests background answers, or resumes the one named by `providerOptions.rivulet.resume`. */
export function inBackground(fetch: typeof globalThis.fetch): typeof globalThis.fetch {
  return (input, init = {}) => {
    const headers = new Headers(init.headers);
    const resume = headers.get(resumeHeader);
    const turn = headers.get(turnHeader);
    headers.delete(resumeHeader);
    headers.delete(turnHeader);
    if (resume === null) {
      const body = JSON.stringify({ ...JSON.parse(String(init.body)), background: true, store: true });
      // If this server dies before it has logged the answer's id, the next one sends the same key and
      // gets the same answer, where the API honours keys.
      if (turn !== null) headers.set("idempotency-key", `${turn}-${hash("sha256", body, "base64url")}`);
      return fetch(input, { ...init, headers, body });
    }
    const [responseId = "", after = ""] = resume.split(" ");
    const query = new URLSearchParams({ stream: "true", starting_after: after });
    const { body: _, ...rest } = init;
    return fetch(`${input}/${encodeURIComponent(responseId)}?${query}`, { ...rest, headers, method: "GET" });
  };
}

/** Emits one raw part, the answer's `UpstreamMark`, before any content. */
export function emitUpstreamMark(): LanguageModelMiddleware {
  return {
    specificationVersion: "v4",
    transformParams: async ({ params }) => ({ ...params, includeRawChunks: true, headers: headersOf(params) }),
    async wrapStream({ doStream, params: { abortSignal } }) {
      const { stream, ...rest } = await countRefusals(doStream, abortSignal);
      const marking = new TransformStream<LanguageModelV4StreamPart, LanguageModelV4StreamPart>({
        transform(part, controller) {
          const rawValue = part.type === "raw" ? markOf(part.rawValue) : null;
          if (rawValue) controller.enqueue({ type: "raw", rawValue });
          if (part.type !== "raw") controller.enqueue(part);
        },
      });
      return { ...rest, stream: stream.pipeThrough(marking) };
    },
  };
}

/** Calls of a turn that the provider refused, by the turn's signal. */
const refusals = new WeakMap<AbortSignal, number>();

/** A key repeats its refusal, too, so the attempt after a refusal needs another key. */
async function countRefusals<Result>(
  call: () => PromiseLike<Result>,
  signal: AbortSignal | undefined,
): Promise<Result> {
  try {
    return await call();
  } catch (error) {
    if (signal && APICallError.isInstance(error) && error.statusCode !== undefined)
      refusals.set(signal, (refusals.get(signal) ?? 0) + 1);
    throw error;
  }
}

function headersOf({ headers, ...params }: LanguageModelV4CallOptions): LanguageModelV4CallOptions["headers"] {
  const { abortSignal, providerOptions } = params;
  const resumed = resumedIn(params);
  const turnId = providerOptions?.rivulet?.turnId;
  return {
    ...headers,
    ...(resumed && { [resumeHeader]: `${resumed.responseId} ${resumed.after}` }),
    ...(turnId && { [turnHeader]: `${turnId}-${(abortSignal && refusals.get(abortSignal)) ?? 0}` }),
  };
}

function resumedIn({ providerOptions }: Pick<LanguageModelV4CallOptions, "providerOptions">): UpstreamMark | undefined {
  return (providerOptions?.rivulet as { resume?: JSONObject & UpstreamMark } | undefined)?.resume;
}

/** From the answer's first event. */
function markOf(event: unknown): UpstreamMark | null {
  if (!isObject(event) || event.type !== "response.created" || typeof event.sequence_number !== "number") return null;
  const { response, sequence_number: after } = event;
  return isObject(response) && typeof response.id === "string" ? { responseId: response.id, after } : null;
}

const cancelLimitMs = 10_000;

/**
 * A background answer keeps running, and costing, until cancelled. Rejects if the server does not
 * respond.
 */
export async function cancelResponse(server: { baseURL: string; apiKey: string }, responseId: string): Promise<void> {
  const address = `${server.baseURL}/responses/${encodeURIComponent(responseId)}/cancel`;
  const headers = { authorization: `Bearer ${server.apiKey}` };
  const signal = AbortSignal.timeout(cancelLimitMs);
  const response = await fetch(address, { method: "POST", headers, signal, redirect: "error" });
  // Refused if the answer has ended meanwhile.
  await response.body?.cancel();
}
