// `GET /models` of OpenAI-compatible servers. The standard list holds names only; server-specific
// fields tell a model's abilities and which entries are not chat models. docs/providers.md has the
// table.
import { withoutTrailingSlash } from "@ai-sdk/provider-utils";
import { z } from "zod";
import type { Abilities } from "./abilities";
import { fetchJson } from "./fetch-json";
import type { CompatibleServer } from "./providers/compatible";
import type { ProviderModel } from "./providers/provider";

/** A malformed field counts as missing. */
export const tokenCount = z.coerce.number().int().positive().max(100_000_000).optional().catch(undefined);
const perToken = z.coerce.number().nonnegative().max(1);
const words = z.array(z.string()).optional().catch(undefined);
const flag = z.boolean().optional().catch(undefined);
const text = z.string().optional().catch(undefined);

const entry = z.object({
  id: z.string().min(1).max(200),
  type: text,
  owned_by: text,
  /** vLLM. */
  max_model_len: tokenCount,
  /** OpenRouter, Together. */
  context_length: tokenCount,
  /** Groq. */
  context_window: tokenCount,
  max_completion_tokens: tokenCount,
  /** Mistral; LM Studio, where the loaded value wins. */
  max_context_length: tokenCount,
  loaded_context_length: tokenCount,
  /** llama.cpp. */
  meta: z.object({ n_ctx: tokenCount, n_ctx_train: tokenCount }).optional().catch(undefined),
  top_provider: z.object({ context_length: tokenCount, max_completion_tokens: tokenCount }).optional().catch(undefined),
  architecture: z.object({ input_modalities: words, output_modalities: words }).optional().catch(undefined),
  supported_parameters: words,
  /** OpenRouter: US dollars per token. */
  pricing: z.object({ prompt: perToken, completion: perToken }).optional().catch(undefined),
  /** Mistral uses flags, LM Studio words. */
  capabilities: z
    .union([words.unwrap(), z.object({ completion_chat: flag, function_calling: flag, vision: flag, reasoning: flag })])
    .optional()
    .catch(undefined),
});
type Entry = z.infer<typeof entry>;

const list = z.object({ data: z.array(z.unknown()) });

/** Rejects if the server does not list its models. Unreadable entries are skipped. */
export async function listCompatible(server: CompatibleServer, signal: AbortSignal): Promise<ProviderModel[]> {
  const baseURL = withoutTrailingSlash(server.baseURL);
  const entries = await entriesOf(urlOf(server, `${baseURL}/models`), server, signal);
  const root = baseURL?.replace(/\/v1$/, "");
  // LM Studio and llama.cpp report more elsewhere, and are recognised by these marks.
  if (entries.some(({ owned_by }) => owned_by === "organization_owner")) {
    const own = await entriesOf(`${root}/api/v0/models`, server, signal).catch(() => entries);
    return modelsOf(own);
  }
  if (entries.some(({ meta }) => meta?.n_ctx_train)) {
    const loaded = await propsOf(`${root}/props`, server, signal).catch((): Abilities => ({}));
    return modelsOf(entries).map(({ name, abilities }) => ({ name, abilities: { ...abilities, ...loaded } }));
  }
  return modelsOf(entries);
}

async function entriesOf(url: string, server: CompatibleServer, signal: AbortSignal): Promise<Entry[]> {
  const { data } = list.parse(await fetchJson(url, { headers: headersOf(server), signal }));
  return data.flatMap((each) => entry.safeParse(each).data ?? []);
}

function urlOf({ query }: CompatibleServer, address: string): string {
  const url = new URL(address);
  for (const [key, value] of Object.entries(query ?? {})) url.searchParams.set(key, value);
  return String(url);
}

function headersOf({ apiKey, headers }: CompatibleServer): Record<string, string> {
  return { ...(apiKey && { authorization: `Bearer ${apiKey}` }), ...headers };
}

function modelsOf(entries: Entry[]): ProviderModel[] {
  return entries.filter(isChatModel).map((each) => ({ name: each.id, abilities: abilitiesOf(each) }));
}

/** Rounds off binary fraction noise. */
function perMillion(usd: number): number {
  return Number((usd * 1_000_000).toPrecision(9));
}

function isChatModel({ type, architecture, capabilities }: Entry): boolean {
  if (type !== undefined && /embed|rerank|image|audio|moderation|transcri|speech/i.test(type)) return false;
  const outputs = architecture?.output_modalities;
  if (outputs && outputs.length > 0 && !outputs.includes("text")) return false;
  return Array.isArray(capabilities) || capabilities?.completion_chat !== false;
}

function abilitiesOf(model: Entry): Abilities {
  const { supported_parameters: parameters, architecture, top_provider: top, meta } = model;
  const flags = Array.isArray(model.capabilities) ? undefined : model.capabilities;
  const named = Array.isArray(model.capabilities) ? model.capabilities : undefined;
  return withoutUnknown({
    tools: parameters?.includes("tools") ?? flags?.function_calling ?? (named?.includes("tool_use") || undefined),
    vision: architecture?.input_modalities?.includes("image") ?? flags?.vision ?? (model.type === "vlm" || undefined),
    reasoning: parameters?.includes("reasoning") ?? flags?.reasoning,
    contextTokens:
      model.loaded_context_length ??
      model.max_model_len ??
      top?.context_length ??
      model.context_length ??
      model.context_window ??
      model.max_context_length ??
      meta?.n_ctx ??
      meta?.n_ctx_train,
    maxOutputTokens: top?.max_completion_tokens ?? model.max_completion_tokens,
    price: model.pricing && {
      inputUsd: perMillion(model.pricing.prompt),
      outputUsd: perMillion(model.pricing.completion),
    },
  });
}

const props = z.object({
  default_generation_settings: z.object({ n_ctx: tokenCount }).optional().catch(undefined),
  modalities: z.object({ vision: flag }).optional().catch(undefined),
});

/** llama.cpp's startup settings, which may be below what the model was trained for. */
async function propsOf(url: string, server: CompatibleServer, signal: AbortSignal): Promise<Abilities> {
  const reported = props.parse(await fetchJson(url, { headers: headersOf(server), signal }));
  return withoutUnknown({
    contextTokens: reported.default_generation_settings?.n_ctx,
    vision: reported.modalities?.vision,
  });
}

export function withoutUnknown(abilities: Abilities): Abilities {
  return Object.fromEntries(Object.entries(abilities).filter(([, value]) => value !== undefined));
}
