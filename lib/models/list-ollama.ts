// Models of an Ollama server and their abilities: /api/tags, /api/ps and /api/show.
import { z } from "zod";
import type { Abilities } from "./abilities";
import { fetchJson } from "./fetch-json";
import { tokenCount, withoutUnknown } from "./list-compatible";
import type { ProviderModel } from "./providers/provider";

const tags = z.object({
  models: z.array(z.object({ name: z.string().min(1).max(200), digest: z.string().optional().catch(undefined) })),
});
const loaded = z.object({ models: z.array(z.object({ name: z.string(), context_length: tokenCount })) });
const shown = z.object({
  capabilities: z.array(z.string()).optional().catch(undefined),
  /** From the model's file, one per line. */
  parameters: z.string().max(100_000).optional().catch(undefined),
  model_info: z.record(z.string(), z.unknown()).optional().catch(undefined),
});
type Shown = z.infer<typeof shown>;

/** More than one person's disk holds. */
const maxModels = 200;
/** A server that is loading a model has little capacity to spare. */
const atOnce = 4;

type Known = {
  shown: Shown;
  /** The context when last loaded: the server forgets it minutes after an answer. */
  contextTokens?: number;
};

/** Cache by digest: a changed model has another one. */
const known = new Map<string, Known>();

/** Rejects if the server does not list its models. A model without details is still listed. */
export async function listOllama(root: string, signal: AbortSignal): Promise<ProviderModel[]> {
  const { models } = tags.parse(await fetchJson(`${root}/api/tags`, { signal }));
  // Older servers lack this call.
  const running = await fetchJson(`${root}/api/ps`, { signal })
    .then((answer) => loaded.parse(answer).models)
    .catch(() => []);
  const contexts = new Map(running.map(({ name, context_length }) => [name, context_length]));
  const listed: ProviderModel[] = [];
  const offered = models.slice(0, maxModels);
  for (let at = 0; at < offered.length; at += atOnce) {
    const some = await Promise.all(
      offered.slice(at, at + atOnce).map(async ({ name, digest }) => {
        const model = await knownOf(root, name, digest, signal);
        model.contextTokens = contexts.get(name) ?? model.contextTokens;
        const { capabilities } = model.shown;
        if (capabilities && !capabilities.includes("completion")) return [];
        return [{ name: name.replace(/:latest$/, ""), abilities: abilitiesOf(model) }];
      }),
    );
    listed.push(...some.flat());
  }
  return listed;
}

async function knownOf(root: string, model: string, digest: string | undefined, signal: AbortSignal): Promise<Known> {
  const key = digest && `${root} ${model} ${digest}`;
  const before = key && known.get(key);
  if (before) return before;
  try {
    const result = { shown: shown.parse(await fetchJson(`${root}/api/show`, { body: { model }, signal })) };
    if (known.size >= 10 * maxModels) known.clear();
    if (key) known.set(key, result);
    return result;
  } catch (error) {
    if (signal.aborted) throw error;
    return { shown: {} };
  }
}

/**
 * The context is what the server allotted when loading, or what the model's file requests. The
 * trained length is only an upper bound: at its OpenAI-compatible endpoint, Ollama silently
 * truncates longer prompts.
 */
function abilitiesOf({ shown: { capabilities, parameters, model_info: info }, contextTokens }: Known): Abilities {
  const trained = tokenCount.parse(info?.[`${info?.["general.architecture"]}.context_length`]);
  const requested = tokenCount.parse(parameters?.match(/^num_ctx\s+(\d+)/m)?.[1]);
  const reported = contextTokens ?? requested;
  const context = Math.min(reported ?? Number.POSITIVE_INFINITY, trained ?? Number.POSITIVE_INFINITY);
  const isKnown = reported !== undefined || context <= smallestContext;
  return withoutUnknown({
    tools: capabilities?.includes("tools"),
    vision: capabilities?.includes("vision"),
    reasoning: capabilities?.includes("thinking"),
    contextTokens: isKnown ? context : undefined,
  });
}

/** The server's minimum for a model that supports it. */
const smallestContext = 4_096;
