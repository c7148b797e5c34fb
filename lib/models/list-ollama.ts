// Which models an Ollama server has, and what it says of each: /api/tags, /api/ps and /api/show.
import { z } from "zod";
import type { Abilities } from "./abilities";
import { fetchJson } from "./fetch-json";
import { tokens, withoutUnknown } from "./list-compatible";
import type { ListedModel } from "./providers/contract";

const tags = z.object({
  models: z.array(z.object({ name: z.string().min(1).max(200), digest: z.string().optional().catch(undefined) })),
});
const loaded = z.object({ models: z.array(z.object({ name: z.string(), context_length: tokens })) });
const shown = z.object({
  capabilities: z.array(z.string()).optional().catch(undefined),
  /** Of the model's file, a line each. */
  parameters: z.string().max(100_000).optional().catch(undefined),
  model_info: z.record(z.string(), z.unknown()).optional().catch(undefined),
});
type Shown = z.infer<typeof shown>;

/** Enough for one person's disk. */
const maxModels = 200;
/** A server that loads a model has little to spare. */
const atOnce = 4;

type Known = {
  shown: Shown;
  /**
   * The context of the model when it was loaded last: it is forgotten by the server minutes after
   * an answer.
   */
  contextTokens?: number;
};

/** What was asked of a model before, by its digest: a model that changes has another one. */
const known = new Map<string, Known>();

/**
 * Rejects when the server does not list its models. A model of which it says no more is listed all
 * the same.
 */
export async function listOllama(root: string, signal: AbortSignal): Promise<ListedModel[]> {
  const { models } = tags.parse(await fetchJson(`${root}/api/tags`, { signal }));
  // Older servers do not know the call.
  const running = await fetchJson(`${root}/api/ps`, { signal })
    .then((answer) => loaded.parse(answer).models)
    .catch(() => []);
  const contexts = new Map(running.map(({ name, context_length }) => [name, context_length]));
  const listed: ListedModel[] = [];
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
    const told = { shown: shown.parse(await fetchJson(`${root}/api/show`, { body: { model }, signal })) };
    if (known.size >= 10 * maxModels) known.clear();
    if (key) known.set(key, told);
    return told;
  } catch (error) {
    if (signal.aborted) throw error;
    return { shown: {} };
  }
}

/**
 * The context is what the server gave the model when it was loaded, or what the model's file asks
 * for. What it was trained for is no more than a bound: at its endpoint with OpenAI's API, Ollama
 * cuts a longer prompt without a word.
 */
function abilitiesOf({ shown: { capabilities, parameters, model_info: info }, contextTokens }: Known): Abilities {
  const trained = tokens.parse(info?.[`${info?.["general.architecture"]}.context_length`]);
  const asked = tokens.parse(parameters?.match(/^num_ctx\s+(\d+)/m)?.[1]);
  const given = contextTokens ?? asked;
  const context = Math.min(given ?? Number.POSITIVE_INFINITY, trained ?? Number.POSITIVE_INFINITY);
  const isKnown = given !== undefined || context <= smallestContext;
  return withoutUnknown({
    tools: capabilities?.includes("tools"),
    vision: capabilities?.includes("vision"),
    reasoning: capabilities?.includes("thinking"),
    contextTokens: isKnown ? context : undefined,
  });
}

/** What a server gives at least to a model that can have it. */
const smallestContext = 4_096;
