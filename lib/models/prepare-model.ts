// The middleware of every provider's model: retries, silence limits, repairs, endings and known
// abilities.
import type { LanguageModelV4, LanguageModelV4CallOptions, LanguageModelV4Prompt } from "@ai-sdk/provider";
import { type LanguageModelMiddleware, wrapLanguageModel } from "ai";
import type { Env } from "@/lib/env";
import type { Abilities } from "./abilities";
import type { Provider } from "./providers/provider";
import { repairRequests, withoutOptionalTools } from "./repairs";
import { retries } from "./retries";
import { timeouts } from "./timeouts";

/**
 * Sends and loads nothing until called. `abilities` is read on each call: a list may have arrived
 * meanwhile.
 */
export function prepareModel(
  id: { provider: string; name: string },
  provider: Provider,
  env: Env,
  abilities: () => Abilities,
): LanguageModelV4 {
  const middleware = [
    retries({ loadingMs: env.FIRST_CHUNK_TIMEOUT_MS }),
    timeouts({
      firstChunkMs: env.FIRST_CHUNK_TIMEOUT_MS,
      chunkMs: env.CHUNK_TIMEOUT_MS,
      // Paid providers keep their models loaded.
      loads: !provider.paid,
    }),
    repairRequests({ provider: provider.fieldOptions, defaultCap: env.MAX_OUTPUT_TOKENS }),
    clampToAbilities(abilities),
    ...(provider.fieldOptions && provider.fields.kind === "body" ? [] : [objectArguments]),
  ];
  return wrapLanguageModel({ model: lazyModel(id, () => provider.load(id.name)), middleware });
}

/** A failed load is retried on the next call. */
function lazyModel(
  { provider, name }: { provider: string; name: string },
  load: () => LanguageModelV4 | Promise<LanguageModelV4>,
): LanguageModelV4 {
  let loading: Promise<LanguageModelV4> | undefined;
  async function model(): Promise<LanguageModelV4> {
    loading ??= Promise.resolve(load());
    try {
      return await loading;
    } catch (error) {
      loading = undefined;
      throw error;
    }
  }
  return {
    specificationVersion: "v4",
    provider,
    modelId: name,
    // Read when the model is wrapped, before any load. All URLs: the SDK must not fetch them
    // itself.
    supportedUrls: { "*": [/^https?:\/\//] },
    doGenerate: async (options) => (await model()).doGenerate(options),
    doStream: async (options) => (await model()).doStream(options),
  };
}

/**
 * Fits a call to the model's known abilities. Removes nothing whose support is merely unknown, and
 * no client tools.
 */
function clampToAbilities(abilities: () => Abilities): LanguageModelMiddleware {
  return {
    specificationVersion: "v4",
    transformParams: async ({ params }) => fitted(params, abilities()),
  };
}

/** Wraps arguments that a client sent back as invalid JSON, for APIs that require an object. */
const objectArguments: LanguageModelMiddleware = {
  specificationVersion: "v4",
  transformParams: async ({ params }) => ({ ...params, prompt: params.prompt.map(withObjects) }),
};

function withObjects(message: LanguageModelV4Prompt[number]): LanguageModelV4Prompt[number] {
  if (message.role !== "assistant") return message;
  const content = message.content.map((part) =>
    part.type === "tool-call" && typeof part.input === "string"
      ? { ...part, input: { arguments_that_are_no_json: part.input } }
      : part,
  );
  return { ...message, content };
}

function fitted(params: LanguageModelV4CallOptions, { tools, maxOutputTokens }: Abilities): LanguageModelV4CallOptions {
  const offered = tools === false ? (withoutOptionalTools(params) ?? params) : params;
  const cap = offered.maxOutputTokens;
  if (maxOutputTokens === undefined || cap === undefined || cap <= maxOutputTokens) return offered;
  return { ...offered, maxOutputTokens };
}
