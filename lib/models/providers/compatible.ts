// A server that imitates OpenAI's Chat Completions: what OpenAI's own adapter takes for granted is
// not there.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import type { LanguageModelV4 } from "@ai-sdk/provider";
import { wrapLanguageModel } from "ai";
import { chatState } from "@/lib/models/chat-state";
import { droppedFields } from "@/lib/models/endings";
import { providerFetch } from "@/lib/models/provider-fetch";
import { sentBody } from "@/lib/models/repairs";

/**
 * For servers that ask for no key: the SDK insists on a header, and OPENAI_API_KEY must not reach a
 * third party.
 */
export const noKey = "unused";

export type CompatibleServer = {
  /** Under which the adapter reads its options. */
  name: string;
  baseURL: string;
  apiKey?: string | undefined;
  headers?: Record<string, string> | undefined;
  query?: Record<string, string> | undefined;
};

export function compatible(server: CompatibleServer, model: string): LanguageModelV4 {
  const { name, baseURL, apiKey = noKey, headers, query } = server;
  const provider = createOpenAICompatible({
    name,
    baseURL,
    apiKey,
    ...(headers && { headers }),
    ...(query && { queryParams: query }),
    includeUsage: true,
    fetch: providerFetch,
    metadataExtractor: droppedFields,
    transformRequestBody: sentBody,
  });
  return wrapLanguageModel({ model: provider.chatModel(model), middleware: chatState() });
}
