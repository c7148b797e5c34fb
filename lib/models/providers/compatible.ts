// A server that imitates OpenAI's Chat Completions, without what OpenAI's own adapter takes for
// granted.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import type { EmbeddingModelV4, LanguageModelV4 } from "@ai-sdk/provider";
import { wrapLanguageModel } from "ai";
import { chatState } from "@/lib/models/chat-state";
import { droppedFields } from "@/lib/models/dropped-fields";
import { providerFetch } from "@/lib/models/provider-fetch";
import { sentBody } from "@/lib/models/repairs";
import { completionModel } from "./completion";

/**
 * For servers without keys: the SDK insists on a header, and OPENAI_API_KEY must not reach a third
 * party.
 */
export const noKey = "unused";

export type CompatibleServer = {
  /** Option namespace the adapter reads. */
  name: string;
  baseURL: string;
  apiKey?: string | undefined;
  headers?: Record<string, string> | undefined;
  query?: Record<string, string> | undefined;
};

export function compatible(server: CompatibleServer, model: string): LanguageModelV4 {
  return wrapLanguageModel({ model: providerOf(server).chatModel(model), middleware: chatState() });
}

export function compatibleCompletion(server: CompatibleServer, model: string): LanguageModelV4 {
  const elsewhere: typeof fetch = (input, init) => {
    const url = new URL(String(input));
    url.pathname = url.pathname.replace(/\/chat\/completions$/, "/completions");
    return providerFetch(url, init);
  };
  const text = providerOf(server, elsewhere, ({ messages: _, ...body }) => body).chatModel(model);
  return completionModel(server.name, text, compatible(server, model));
}

export function compatibleEmbedding(server: CompatibleServer, model: string): EmbeddingModelV4 {
  return providerOf(server).embeddingModel(model);
}

type Body = Record<string, unknown>;

function providerOf(
  { name, baseURL, apiKey = noKey, headers, query }: CompatibleServer,
  fetch = providerFetch,
  shaped = (body: Body) => body,
) {
  return createOpenAICompatible({
    name,
    baseURL,
    apiKey,
    ...(headers && { headers }),
    ...(query && { queryParams: query }),
    includeUsage: true,
    fetch,
    metadataExtractor: droppedFields,
    transformRequestBody: (body) => shaped(sentBody(body)),
  });
}
