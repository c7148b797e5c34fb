// Providers with APIs of their own, each with its package and variables. A package is loaded on the
// first call of one of its models: most servers use one or two.
import type { Env } from "@/lib/env";
import { listCompatible } from "@/lib/models/list-compatible";
import { listAnthropic, listGoogle } from "@/lib/models/list-hosted";
import { plainFetch, providerFetch } from "@/lib/models/provider-fetch";
import {
  anthropicFields,
  bedrockFields,
  deepseekFields,
  googleFields,
  groqFields,
  mistralFields,
  openrouterFields,
  responsesFields,
  xaiFields,
} from "@/lib/models/request-fields";
import { wholeMessages } from "./event-stream-messages";
import { notStored } from "./openai";
import type { Provider } from "./provider";

type Hosted = {
  title: string;
  key: string | undefined;
  /** The key's environment variable. */
  variable: string;
  /** Offered if only the key is configured. */
  model?: string;
} & Pick<Provider, "load" | "list" | "fields">;

/** A provider that needs only a key. */
function hosted({ title, key, variable, model, ...provider }: Hosted): Provider {
  return {
    title,
    ...(!key && { reason: `${variable} is not set.` }),
    paid: key !== undefined,
    secrets: [key],
    offers: key && model ? [model] : [],
    ...provider,
  };
}

export function anthropic({ ANTHROPIC_API_KEY: key, ANTHROPIC_BASE_URL }: Env): Provider {
  const baseURL = ANTHROPIC_BASE_URL ?? "https://api.anthropic.com/v1";
  return hosted({
    title: "Anthropic",
    key,
    variable: "ANTHROPIC_API_KEY",
    fields: anthropicFields,
    model: "claude-sonnet-5-5",
    async load(name) {
      const { createAnthropic } = await import("@ai-sdk/anthropic");
      return createAnthropic({ apiKey: key, baseURL, fetch: plainFetch })(name);
    },
    list: (signal) => listAnthropic({ baseURL, apiKey: key }, signal),
  });
}

export function google({ GOOGLE_GENERATIVE_AI_API_KEY: key, GOOGLE_GENERATIVE_AI_BASE_URL }: Env): Provider {
  const baseURL = GOOGLE_GENERATIVE_AI_BASE_URL ?? "https://generativelanguage.googleapis.com/v1beta";
  return hosted({
    title: "Google",
    key,
    variable: "GOOGLE_GENERATIVE_AI_API_KEY",
    fields: googleFields,
    model: "gemini-3.8-flash",
    async load(name) {
      const { createGoogle } = await import("@ai-sdk/google");
      return createGoogle({ apiKey: key, baseURL, fetch: plainFetch })(name);
    },
    list: (signal) => listGoogle({ baseURL, apiKey: key }, signal),
  });
}

export function mistral({ MISTRAL_API_KEY: key, MISTRAL_BASE_URL }: Env): Provider {
  const baseURL = MISTRAL_BASE_URL ?? "https://api.mistral.ai/v1";
  return hosted({
    title: "Mistral",
    key,
    variable: "MISTRAL_API_KEY",
    fields: mistralFields,
    model: "mistral-medium-latest",
    async load(name) {
      const { createMistral } = await import("@ai-sdk/mistral");
      return createMistral({ apiKey: key, baseURL, fetch: plainFetch })(name);
    },
    list: (signal) => listCompatible({ name: "mistral", baseURL, apiKey: key }, signal),
  });
}

export function deepseek({ DEEPSEEK_API_KEY: key, DEEPSEEK_BASE_URL }: Env): Provider {
  const baseURL = DEEPSEEK_BASE_URL ?? "https://api.deepseek.com";
  return hosted({
    title: "DeepSeek",
    key,
    variable: "DEEPSEEK_API_KEY",
    fields: deepseekFields,
    model: "deepseek-v4-flash",
    async load(name) {
      const { createDeepSeek } = await import("@ai-sdk/deepseek");
      return createDeepSeek({ apiKey: key, baseURL, fetch: plainFetch })(name);
    },
    list: (signal) => listCompatible({ name: "deepseek", baseURL, apiKey: key }, signal),
  });
}

export function groq({ GROQ_API_KEY: key, GROQ_BASE_URL }: Env): Provider {
  const baseURL = GROQ_BASE_URL ?? "https://api.groq.com/openai/v1";
  return hosted({
    title: "Groq",
    key,
    variable: "GROQ_API_KEY",
    fields: groqFields,
    model: "openai/gpt-oss-120b",
    async load(name) {
      const { createGroq } = await import("@ai-sdk/groq");
      return createGroq({ apiKey: key, baseURL, fetch: plainFetch })(name);
    },
    // Its list includes speech models and guards.
    list: async (signal) => {
      const models = await listCompatible({ name: "groq", baseURL, apiKey: key }, signal);
      return models.filter(({ name }) => !/whisper|tts|guard/i.test(name));
    },
  });
}

export function xai({ XAI_API_KEY: key, XAI_BASE_URL: baseURL }: Env): Provider {
  return hosted({
    title: "xAI",
    key,
    variable: "XAI_API_KEY",
    fields: xaiFields,
    model: "grok-latest",
    async load(name) {
      const { createXai } = await import("@ai-sdk/xai");
      return notStored(createXai({ apiKey: key, baseURL, fetch: plainFetch })(name), "xai");
    },
  });
}

export function openrouter({ OPENROUTER_API_KEY: key, OPENROUTER_BASE_URL }: Env): Provider {
  const baseURL = OPENROUTER_BASE_URL ?? "https://openrouter.ai/api/v1";
  return hosted({
    title: "OpenRouter",
    key,
    variable: "OPENROUTER_API_KEY",
    fields: openrouterFields,
    model: "openrouter/auto",
    async load(name) {
      const { createOpenRouter } = await import("@openrouter/ai-sdk-provider");
      // `strict`: this is OpenRouter itself, which sends usage in streams on request.
      return createOpenRouter({ apiKey: key, baseURL, compatibility: "strict", fetch: plainFetch })(name);
    },
    list: (signal) => listCompatible({ name: "openrouter", baseURL, apiKey: key }, signal),
  });
}

/** A model's name is its deployment's, so there is no default to offer. */
export function azure({
  AZURE_API_KEY: key,
  AZURE_RESOURCE_NAME: resourceName,
  AZURE_BASE_URL: baseURL,
}: Env): Provider {
  const place = resourceName ?? baseURL;
  return {
    ...hosted({
      title: "Azure",
      key,
      variable: "AZURE_API_KEY",
      fields: responsesFields("azure"),
      async load(name) {
        const { createAzure } = await import("@ai-sdk/azure");
        return notStored(createAzure({ apiKey: key, resourceName, baseURL, fetch: providerFetch })(name), "azure");
      },
    }),
    ...(key && !place && { reason: "Neither AZURE_RESOURCE_NAME nor AZURE_BASE_URL is set." }),
  };
}

/** Available models depend on the account's region, so there is no default to offer. */
export function bedrock(env: Env): Provider {
  const { AWS_BEARER_TOKEN_BEDROCK: apiKey, AWS_REGION: region, BEDROCK_BASE_URL: baseURL } = env;
  const {
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_SESSION_TOKEN: sessionToken,
  } = env;
  const signs = accessKeyId !== undefined && secretAccessKey !== undefined;
  const reason = !(apiKey || signs)
    ? "Neither AWS_BEARER_TOKEN_BEDROCK nor AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are set."
    : region
      ? undefined
      : "AWS_REGION is not set.";
  return {
    title: "Bedrock",
    ...(reason && { reason }),
    paid: apiKey !== undefined || signs,
    secrets: [apiKey, secretAccessKey, sessionToken],
    offers: [],
    fields: bedrockFields,
    async load(name) {
      const { createAmazonBedrock } = await import("@ai-sdk/amazon-bedrock");
      const credentials = apiKey ? { apiKey } : { accessKeyId, secretAccessKey, sessionToken };
      return createAmazonBedrock({ ...credentials, region, baseURL, fetch: wholeMessages })(name);
    },
  };
}
