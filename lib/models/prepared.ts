// The middleware that every provider's model gets: retries, limits on silence, repairs, endings, and
// what is known of its abilities.
import type { LanguageModelV4, LanguageModelV4CallOptions, LanguageModelV4Prompt } from "@ai-sdk/provider";
import { type LanguageModelMiddleware, wrapLanguageModel } from "ai";
import type { Env } from "@/lib/env";
import type { Abilities } from "./abilities";
import type { Provider } from "./providers/contract";
import { repairing, withoutOptionalTools } from "./repairs";
import { retries } from "./retries";
import { timeouts } from "./timeouts";

/**
 * Sends nothing and loads nothing until it is called. `abilities` is asked at each call: a list may
 * have come meanwhile.
 */
export function preparedModel(
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
      // Who is paid for its models keeps them loaded.
      loads: !provider.paid,
    }),
    repairing({ provider: provider.fieldOptions, defaultCap: env.MAX_OUTPUT_TOKENS }),
    within(abilities),
    ...(provider.fieldOptions && provider.fields.kind === "body" ? [] : [objectArguments]),
  ];
  return wrapLanguageModel({ model: loadedOnce(id, () => provider.load(id.name)), middleware });
}

/** A failed load is tried again at the next call. */
function loadedOnce(
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
    // Read when the model is wrapped, before any load. All of them: the SDK fetches no address in a
    // provider's place.
    supportedUrls: { "*": [/^https?:\/\//] },
    doGenerate: async (options) => (await model()).doGenerate(options),
    doStream: async (options) => (await model()).doStream(options),
  };
}

/**
 * A call within what the model is known to take. Nothing is left out that is only unknown, and no
 * tool that a client brought.
 */
function within(abilities: () => Abilities): LanguageModelMiddleware {
  return {
    specificationVersion: "v4",
    transformParams: async ({ params }) => fitted(params, abilities()),
  };
}

/** Arguments that are no JSON, as a client sent them back: to an API in which they are an object, not a text. */
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
