// OpenAI, or the single compatible server at OPENAI_BASE_URL.
import { createOpenAI } from "@ai-sdk/openai";
import type { LanguageModelV4 } from "@ai-sdk/provider";
import { defaultSettingsMiddleware, wrapLanguageModel } from "ai";
import type { Env } from "@/lib/env";
import { cancelResponse, emitUpstreamMark, inBackground } from "@/lib/models/background";
import { listCompatible } from "@/lib/models/list-compatible";
import { providerFetch } from "@/lib/models/provider-fetch";
import { compatibleFields, openaiChatFields, responsesFields } from "@/lib/models/request-fields";
import { compatible, compatibleCompletion, compatibleEmbedding, noKey } from "./compatible";
import type { Provider } from "./provider";

const openaiUrl = "https://api.openai.com/v1";

export function openai(env: Env): Provider {
  const { OPENAI_API_KEY: apiKey, OPENAI_BASE_URL: baseURL = openaiUrl } = env;
  const host = new URL(baseURL).hostname;
  const isOpenAI = host === "api.openai.com" || host.endsWith(".api.openai.com");
  const api = env.OPENAI_API ?? (isOpenAI ? "responses" : "chat");
  const own = api === "chat" ? openaiChatFields : responsesFields("openai");
  const fields = isOpenAI || api !== "chat" ? own : compatibleFields("openai");
  const keeps = api === "responses" && env.OPENAI_BACKGROUND === "on";
  const background = { cancel: (id: string) => cancelResponse({ baseURL, apiKey: apiKey ?? noKey }, id) };
  const common = {
    title: "",
    paid: apiKey !== undefined,
    secrets: [apiKey],
    fieldOptions: "openai",
    fields,
    ...(keeps && { background }),
  };
  if (isOpenAI)
    return {
      ...common,
      ...(!apiKey && { reason: "OPENAI_API_KEY is not set." }),
      offers: apiKey ? ["gpt-5-mini"] : [],
      load: (name) => ofOpenAI(name),
      embedding: (name) => provider().embeddingModel(name),
    };
  const server = { name: "openai", baseURL, apiKey };
  return {
    ...common,
    offers: ["*"],
    load: (name) => (api === "chat" ? compatible(server, name) : ofOpenAI(name)),
    ...(api === "chat" && { completion: (name: string) => compatibleCompletion(server, name) }),
    embedding: (name) => compatibleEmbedding(server, name),
    list: (signal) => listCompatible(server, signal),
  };

  function provider() {
    const fetch = keeps ? inBackground(providerFetch) : providerFetch;
    return createOpenAI({ baseURL, apiKey: apiKey ?? noKey, fetch });
  }

  function ofOpenAI(name: string): LanguageModelV4 {
    if (api === "chat") return provider().chat(name);
    const model = notStored(provider().responses(name), "openai");
    return keeps ? wrapLanguageModel({ model, middleware: emitUpstreamMark() }) : model;
  }
}

/**
 * The Responses API keeps every answer for 30 days by default, and the SDK would then send history
 * as references to those copies. Here the database is the only memory: nothing stays with the
 * provider, and chats older than the copies still work. Reasoning travels encrypted by value
 * instead; the SDK requests that by itself.
 */
export function notStored(model: LanguageModelV4, options: string): LanguageModelV4 {
  const settings = { providerOptions: { [options]: { store: false } } };
  return wrapLanguageModel({ model, middleware: defaultSettingsMiddleware({ settings }) });
}
