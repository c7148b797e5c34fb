// Model lists of providers with APIs of their own: Anthropic and Google.
import { withoutTrailingSlash } from "@ai-sdk/provider-utils";
import { z } from "zod";
import { fetchJson } from "./fetch-json";
import { tokenCount, withoutUnknown } from "./list-compatible";
import type { ProviderModel } from "./providers/provider";

type Access = { baseURL: string; apiKey: string | undefined };

const anthropicList = z.object({ data: z.array(z.unknown()) });
const anthropicModel = z.object({
  id: z.string().min(1).max(200),
  max_input_tokens: tokenCount,
  max_tokens: tokenCount,
});

/** All of Anthropic's models are chat models. */
export async function listAnthropic({ baseURL, apiKey = "" }: Access, signal: AbortSignal): Promise<ProviderModel[]> {
  const headers = { "x-api-key": apiKey, "anthropic-version": "2023-06-01" };
  const { data } = anthropicList.parse(
    await fetchJson(`${withoutTrailingSlash(baseURL)}/models?limit=1000`, { headers, signal }),
  );
  return data.flatMap((each) => {
    const model = anthropicModel.safeParse(each).data;
    if (!model) return [];
    const { id: name, max_input_tokens: contextTokens, max_tokens: maxOutputTokens } = model;
    return [{ name, abilities: withoutUnknown({ contextTokens, maxOutputTokens }) }];
  });
}

const googleList = z.object({ models: z.array(z.unknown()) });
const googleModel = z.object({
  name: z.string().min(1).max(200),
  inputTokenLimit: tokenCount,
  outputTokenLimit: tokenCount,
  supportedGenerationMethods: z.array(z.string()).optional().catch(undefined),
  thinking: z.boolean().optional().catch(undefined),
});

/** Generative models only. Google limits the input, so that counts as the context. */
export async function listGoogle({ baseURL, apiKey = "" }: Access, signal: AbortSignal): Promise<ProviderModel[]> {
  const headers = { "x-goog-api-key": apiKey };
  const { models } = googleList.parse(
    await fetchJson(`${withoutTrailingSlash(baseURL)}/models?pageSize=1000`, { headers, signal }),
  );
  return models.flatMap((each) => {
    const model = googleModel.safeParse(each).data;
    if (!model || model.supportedGenerationMethods?.includes("generateContent") === false) return [];
    const { inputTokenLimit: contextTokens, outputTokenLimit: maxOutputTokens, thinking: reasoning } = model;
    const name = model.name.replace(/^models\//, "");
    return [{ name, abilities: withoutUnknown({ contextTokens, maxOutputTokens, reasoning }) }];
  });
}
