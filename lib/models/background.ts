// Answers the provider generates in the background and stores (OPENAI_BACKGROUND), using
// `background` and `store` of the Responses API. If another server has read the beginning of an
// answer, the request retrieves that answer instead of creating one.
import type { JSONObject, LanguageModelV4CallOptions, LanguageModelV4StreamPart } from "@ai-sdk/provider";
import type { LanguageModelMiddleware } from "ai";
import type { UpstreamMark } from "@/lib/turn/chunks";
import { isObject } from "./answer-events";

/** Passed from the middleware to the fetch; never sent. */
const resumeHeader = "x-rivulet-resume";

/** Requests background answers, or resumes the one named by `providerOptions.rivulet.resume`. */
export function inBackground(fetch: typeof globalThis.fetch): typeof globalThis.fetch {
  return (input, init = {}) => {
    const headers = new Headers(init.headers);
    const resume = headers.get(resumeHeader);
    headers.delete(resumeHeader);
    if (resume === null) {
      const body = JSON.stringify({ ...JSON.parse(String(init.body)), background: true, store: true });
      return fetch(input, { ...init, headers, body });
    }
    const [responseId = "", after = ""] = resume.split(" ");
    const query = new URLSearchParams({ stream: "true", starting_after: after });
    const { body: _, ...rest } = init;
    return fetch(`${input}/${encodeURIComponent(responseId)}?${query}`, { ...rest, headers, method: "GET" });
  };
}

/** Emits one raw part, the answer's `UpstreamMark`, before any content. */
export function marked(): LanguageModelMiddleware {
  return {
    specificationVersion: "v4",
    transformParams: async ({ params }) => ({ ...params, includeRawChunks: true, headers: headersOf(params) }),
    async wrapStream({ doStream }) {
      const { stream, ...rest } = await doStream();
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

function headersOf({ headers, ...params }: LanguageModelV4CallOptions): LanguageModelV4CallOptions["headers"] {
  const resumed = resumedIn(params);
  return resumed ? { ...headers, [resumeHeader]: `${resumed.responseId} ${resumed.after}` } : headers;
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
