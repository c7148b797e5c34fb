// One function a provider: from its model's name to a callable model, or the reason why it is not ready.
// A new provider is one entry of `providers`. Reasons name variables, never their values.
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import type { LanguageModelV4 } from "@ai-sdk/provider";
import { defaultSettingsMiddleware, wrapLanguageModel } from "ai";
import type { Env } from "@/lib/env";
import { chatState } from "./chat-state";
import { droppedFields } from "./endings";
import { providerFetch } from "./provider-fetch";
import { repairing, sentBody } from "./repairs";
import { retries } from "./retries";
import { timeouts } from "./timeouts";

export type Prepared = { label: string; model: LanguageModelV4 } | { label: string; reason: string };

/** Throws nothing and sends nothing: whether the provider answers is known at the first turn. */
export const providers: Record<string, (name: string, env: Env) => Prepared> = { openai, ollama };

/** True when calls are billed to the operator's key. Ollama and the local model have none. */
export function isPaid(provider: string, env: Env): boolean {
  return provider === "openai" && env.OPENAI_API_KEY !== undefined;
}

const openaiUrl = "https://api.openai.com/v1";

/** For servers that ask for no key: the SDK insists on a header, and OPENAI_API_KEY must not reach a third party. */
const noKey = "unused";

function openai(name: string, env: Env): Prepared {
  const label = name;
  const baseURL = env.OPENAI_BASE_URL ?? openaiUrl;
  const host = new URL(baseURL).hostname;
  const isOpenAI = host === "api.openai.com" || host.endsWith(".api.openai.com");
  if (isOpenAI && !env.OPENAI_API_KEY) return { label, reason: "OPENAI_API_KEY is not set." };

  const api = env.OPENAI_API ?? (isOpenAI ? "responses" : "chat");
  const apiKey = env.OPENAI_API_KEY ?? noKey;
  if (api === "chat" && !isOpenAI) return { label, model: prepared(compatible("openai", name, baseURL, apiKey), env) };
  const provider = createOpenAI({ baseURL, apiKey, fetch: providerFetch });
  const model = api === "chat" ? provider.chat(name) : notStored(provider.responses(name));
  return { label, model: prepared(model, env) };
}

function ollama(name: string, env: Env): Prepared {
  const label = `${name} (Ollama)`;
  if (!env.OLLAMA_BASE_URL) return { label, reason: "OLLAMA_BASE_URL is not set." };
  let base = env.OLLAMA_BASE_URL;
  while (base.endsWith("/")) base = base.slice(0, -1);
  const baseURL = `${base.replace(/\/v1$/, "")}/v1`;
  return { label, model: prepared(compatible("ollama", name, baseURL, noKey), env, "ollama") };
}

/** A server that imitates OpenAI's Chat Completions: what OpenAI's own adapter takes for granted is not there. */
function compatible(provider: string, name: string, baseURL: string, apiKey: string): LanguageModelV4 {
  const settings = {
    name: provider,
    baseURL,
    apiKey,
    includeUsage: true,
    fetch: providerFetch,
    metadataExtractor: droppedFields,
    transformRequestBody: sentBody,
  };
  return wrapLanguageModel({ model: createOpenAICompatible(settings).chatModel(name), middleware: chatState() });
}

/**
 * The Responses API keeps every answer for 30 days unless told otherwise, and the SDK would then send history as
 * references to those copies. Here the database is the only memory: nothing stays with the provider, and a chat
 * older than the copies still works. Reasoning travels encrypted by value instead; the SDK asks for that by itself.
 */
function notStored(model: LanguageModelV4): LanguageModelV4 {
  const settings = { providerOptions: { openai: { store: false } } };
  return wrapLanguageModel({ model, middleware: defaultSettingsMiddleware({ settings }) });
}

/** What every provider's model gets. */
function prepared(model: LanguageModelV4, env: Env, provider = "openai"): LanguageModelV4 {
  const limits = { firstChunkMs: env.FIRST_CHUNK_TIMEOUT_MS, chunkMs: env.CHUNK_TIMEOUT_MS };
  const middleware = [
    retries({ loadingMs: env.FIRST_CHUNK_TIMEOUT_MS }),
    timeouts(limits),
    repairing({ provider, defaultCap: env.MAX_OUTPUT_TOKENS }),
  ];
  return wrapLanguageModel({ model, middleware });
}
