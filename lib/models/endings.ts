// What the adapter of OpenAI's imitators drops of a canonical stream (chat-events.ts): that an answer broke off, and the pages it cites.

import type { MetadataExtractor } from "@ai-sdk/openai-compatible";
import type { LanguageModelV4StreamPart } from "@ai-sdk/provider";
import type { LanguageModelMiddleware } from "ai";
import { brokenOff } from "./answer-events";
import type { UrlAnnotation } from "./chat-events";

type Chunk = { choices?: { delta?: { annotations?: UrlAnnotation[] } }[] };

/** More pages than that are a list, not sources. */
const maxPages = 50;

/** Hands the pages on with the metadata of the end. */
export const citedPages: MetadataExtractor = {
  extractMetadata: async () => undefined,
  createStreamExtractor() {
    const pages: UrlAnnotation[] = [];
    return {
      processChunk(chunk) {
        const cited = (chunk as Chunk).choices?.[0]?.delta?.annotations;
        if (cited) pages.push(...cited.slice(0, maxPages - pages.length));
      },
      buildMetadata: () => (pages.length > 0 ? { rivulet: { pages } } : undefined),
    };
  },
};

/** Ends that broke off are `interrupted`, and cited pages become sources before the end. */
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
  const broke = part.finishReason.raw === brokenOff;
  controller.enqueue({
    ...part,
    providerMetadata,
    ...(broke && { finishReason: { unified: "interrupted" as const, raw: undefined } }),
  });
}
