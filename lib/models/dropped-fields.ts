// Restores what adapters drop from an answer: that it was truncated, the pages it cites, and its
// reasoning state.

import type { MetadataExtractor } from "@ai-sdk/openai-compatible";
import type { JSONObject, JSONValue, LanguageModelV4StreamPart } from "@ai-sdk/provider";
import { truncatedReason } from "./answer-events";
import type { UrlAnnotation } from "./chat-deltas";
import { type ReasoningState, stateField } from "./chat-state";
import { logprobsField } from "./logprobs";

type Delta = { annotations?: UrlAnnotation[]; [stateField]?: ReasoningState; [logprobsField]?: JSONValue[] };
type Chunk = { choices?: { delta?: Delta }[] };

/** More pages than this are a list, not sources. */
const maxPages = 50;

/** Passes pages and state along in the finish metadata. */
export const droppedFields: MetadataExtractor = {
  extractMetadata: async () => undefined,
  createStreamExtractor() {
    const pages: UrlAnnotation[] = [];
    let state: ReasoningState | undefined;
    let logprobs: JSONValue[] | undefined;
    return {
      processChunk(chunk) {
        const delta = (chunk as Chunk).choices?.[0]?.delta;
        if (delta?.annotations) pages.push(...delta.annotations.slice(0, maxPages - pages.length));
        state = delta?.[stateField] ?? state;
        logprobs = delta?.[logprobsField] ?? logprobs;
      },
      buildMetadata: () => ({
        rivulet: { pages, ...(state && { state: { ...state } }), ...(logprobs && { logprobs }) },
      }),
    };
  },
};

/**
 * Expands a part. A truncated end becomes `interrupted`. Before the end, cited pages become
 * sources, and state becomes an empty reasoning part that carries it.
 */
export function restoreDroppedFields(part: LanguageModelV4StreamPart): LanguageModelV4StreamPart[] {
  if (part.type !== "finish") return [part];
  const { rivulet, ...providerMetadata } = part.providerMetadata ?? {};
  const parts: LanguageModelV4StreamPart[] = [];
  const pages = (rivulet?.pages ?? []) as UrlAnnotation[];
  for (const [index, { url, title }] of pages.entries())
    parts.push({ type: "source", sourceType: "url", id: `page-${index + 1}`, url, ...(title && { title }) });
  if (rivulet?.state) {
    const id = "state";
    parts.push({ type: "reasoning-start", id, providerMetadata: { rivulet: rivulet.state as JSONObject } });
    parts.push({ type: "reasoning-end", id });
  }
  const { unified, raw } = part.finishReason;
  // Some adapters report a missing end as one without any reason.
  const broke = raw === truncatedReason || (unified === "other" && raw === undefined);
  parts.push({
    ...part,
    // Read after the call (lib/turn/steps.ts).
    providerMetadata: rivulet?.logprobs
      ? { ...providerMetadata, rivulet: { logprobs: rivulet.logprobs } }
      : providerMetadata,
    ...(broke && { finishReason: { unified: "interrupted" as const, raw: undefined } }),
  });
  return parts;
}
