// What the adapter of OpenAI's imitators drops of a canonical stream (chat-events.ts): that an answer broke off, the pages it cites, and
// the state of its reasoning.

import type { MetadataExtractor } from "@ai-sdk/openai-compatible";
import type { JSONObject, LanguageModelV4StreamPart } from "@ai-sdk/provider";
import type { LanguageModelMiddleware } from "ai";
import { brokenOff } from "./answer-events";
import type { UrlAnnotation } from "./chat-deltas";
import { type ChatState, stateField } from "./chat-state";

type Delta = { annotations?: UrlAnnotation[]; [stateField]?: ChatState };
type Chunk = { choices?: { delta?: Delta }[] };

/** More pages than that are a list, not sources. */
const maxPages = 50;

/** Hands pages and state on with the metadata of the end. */
export const droppedFields: MetadataExtractor = {
  extractMetadata: async () => undefined,
  createStreamExtractor() {
    const pages: UrlAnnotation[] = [];
    let state: ChatState | undefined;
    return {
      processChunk(chunk) {
        const delta = (chunk as Chunk).choices?.[0]?.delta;
        if (delta?.annotations) pages.push(...delta.annotations.slice(0, maxPages - pages.length));
        state = delta?.[stateField] ?? state;
      },
      buildMetadata: () => ({ rivulet: { pages, ...(state && { state: { ...state } }) } }),
    };
  },
};

/** Ends that broke off are `interrupted`. Before the end cited pages become sources, and state an empty reasoning that carries it. */
export function endings(): LanguageModelMiddleware {
  return {
    specificationVersion: "v4",
    async wrapStream({ doStream }) {
      const { stream, ...rest } = await doStream();
      return { ...rest, stream: stream.pipeThrough(new TransformStream({ transform: pass })) };
    },
  };
}

function pass(
  part: LanguageModelV4StreamPart,
  controller: TransformStreamDefaultController<LanguageModelV4StreamPart>,
): void {
  if (part.type !== "finish") {
    controller.enqueue(part);
    return;
  }
  const { rivulet, ...providerMetadata } = part.providerMetadata ?? {};
  const pages = (rivulet?.pages ?? []) as UrlAnnotation[];
  for (const [index, { url, title }] of pages.entries())
    controller.enqueue({ type: "source", sourceType: "url", id: `page-${index + 1}`, url, ...(title && { title }) });
  if (rivulet?.state) {
    const id = "state";
    controller.enqueue({ type: "reasoning-start", id, providerMetadata: { rivulet: rivulet.state as JSONObject } });
    controller.enqueue({ type: "reasoning-end", id });
  }
  const broke = part.finishReason.raw === brokenOff;
  controller.enqueue({
    ...part,
    providerMetadata,
    ...(broke && { finishReason: { unified: "interrupted" as const, raw: undefined } }),
  });
}
