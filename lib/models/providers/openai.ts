// OpenAI, or the one server with its API that OPENAI_BASE_URL names.
import { createOpenAI } from "@ai-sdk/openai";
import type { LanguageModelV4 } from "@ai-sdk/provider";
import { defaultSettingsMiddleware, wrapLanguageModel } from "ai";
import type { Env } from "@/lib/env";
import { listCompatible } from "@/lib/models/list-compatible";
import { providerFetch } from "@/lib/models/provider-fetch";
import { compatible, noKey } from "./compatible";
import type { Provider } from "./contract";

const openaiUrl = "https://api.openai.com/v1";

export function openai(env: Env): Provider {
  const { OPENAI_API_KEY: apiKey, OPENAI_BASE_URL: baseURL = openaiUrl } = env;
  const host = new URL(baseURL).hostname;
  const isOpenAI = host === "api.openai.com" || host.endsWith(".api.openai.com");
  const api = env.OPENAI_API ?? (isOpenAI ? "responses" : "chat");
  const common = { title: "", paid: apiKey !== undefined, secrets: [apiKey], fieldOptions: "openai" };
  if (isOpenAI)
    return {
      ...common,
      ...(!apiKey && { reason: "OPENAI_API_KEY is not set." }),
      offers: apiKey ? ["gpt-5-mini"] : [],
      load: (name) => ofOpenAI(name),
    };
  const server = { name: "openai", baseURL, apiKey };
  return {
    ...common,
    offers: ["*"],
    load: (name) => (api === "chat" ? compatible(server, name) : ofOpenAI(name)),
    list: (signal) => listCompatible(server, signal),
  };

  function ofOpenAI(name: string): LanguageModelV4 {
    const provider = createOpenAI({ baseURL, apiKey: apiKey ?? noKey, fetch: providerFetch });
    return api === "chat" ? provider.chat(name) : notStored(provider.responses(name), "openai");
  }
}

/**
 * The Responses API keeps every answer for 30 days unless told otherwise, and the SDK would then
 * send history as references to those copies. Here the database is the only memory: nothing stays
 * with the provider, and a chat older than the copies still works. Reasoning travels encrypted by
 * value instead; the SDK asks for that by itself.
 */
export function notStored(model: LanguageModelV4, options: string): LanguageModelV4 {
  const settings = { providerOptions: { [options]: { store: false } } };
  return wrapLanguageModel({ model, middleware: defaultSettingsMiddleware({ settings }) });
}
