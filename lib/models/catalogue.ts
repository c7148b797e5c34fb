// The models this server offers (docs/protocol.md §7): names in, callable models out. An entry is
// configured, by `MODELS` or models.json, or listed by a server all of whose models are offered
// (`ollama:*`). Provider protocols are in providers/; the caller chooses the model for a user.
import type { EmbeddingModelV4, LanguageModelV4 } from "@ai-sdk/provider";
import { orTimeout } from "@/lib/bounded-wait";
import { type Env, env } from "@/lib/env";
import { AppError } from "@/lib/errors";
import { processSingleton } from "@/lib/process-singletons";
import type { Abilities } from "./abilities";
import { localModel } from "./local";
import { ModelList } from "./model-list";
import { type ModelsFile, noModelsFile, readModelsFile } from "./models-file";
import { prepareModel } from "./prepare-model";
import type { Background, Provider } from "./providers/provider";
import { knownProviders, providersOf } from "./providers/registry";
import { type FieldSupport, localFields } from "./request-fields";

/** As listed by `GET /api/models`. `reason` says why it is not ready. */
export type Model = {
  id: string;
  label: string;
  provider: string;
  ready: boolean;
  reason?: string;
  abilities: Abilities;
};

export type ReadyModel = {
  id: string;
  label: string;
  provider: string;
  model: LanguageModelV4;
  abilities: Abilities;
  /** Client request fields it supports. */
  fields: FieldSupport;
  /** Text completion, if its server has an API for it. */
  completion: (() => LanguageModelV4) | undefined;
  /** Set if another server can resume reading its answers. */
  background?: Background;
};

export type ReadyEmbeddingModel = {
  id: string;
  /** Option namespace its adapter reads. */
  options: string;
  paid: boolean;
  load(): EmbeddingModelV4;
};

export type Catalogue = {
  /** In the order of `MODELS`, wildcards replaced by what their servers list. */
  readonly models: Model[];
  /** As configured: a wildcard is one entry, ready if its server can be asked. */
  readonly entries: Model[];
  /**
   * The first of `models`, ready or not: silently changing the default would hide a
   * misconfiguration.
   */
  readonly defaultId: string;
  /** True if some model is billed to the operator's key. */
  readonly paid: boolean;
  /** Values that must never be logged. */
  readonly secrets: string[];
  /** True if some wildcard's server has never listed its models. */
  readonly awaitsList: boolean;
  has(name?: string): boolean;
  /** See requireModel. */
  require(name?: string): ReadyModel;
  /** See requireEmbeddingModel. */
  requireEmbedding(name?: string): ReadyEmbeddingModel;
  /** Refreshes the lists of servers not asked within `maxAgeMs`. Never rejects. */
  refresh(maxAgeMs: number): Promise<void>;
};

/** A new model on a server appears after this long, or when requested by name. */
const listAgeMs = 5 * 60_000;
/** Minimum age of a list before an unknown name triggers a refresh. */
const unknownAgeMs = 10_000;
/**
 * Refresh interval while a model in use has no known context: some servers report it only once the
 * model is loaded.
 */
const unknownContextAgeMs = 60_000;
/** How long a request waits for a list. */
const listWaitMs = 3_000;

/** One per process, so there is one set of connections per provider. */
const openCatalogue = processSingleton("models", () => {
  const values = env();
  return buildCatalogue(values, readModelsFile(values.MODELS_FILE, knownProviders));
});

function catalogue(): Catalogue {
  const opened = openCatalogue();
  void opened.refresh(listAgeMs);
  return opened;
}

/** Waits briefly for servers that have never listed their models. */
export async function listModels(): Promise<Model[]> {
  const models = catalogue();
  if (models.awaitsList) await orTimeout(models.refresh(listAgeMs), listWaitMs);
  return models.models;
}

/** Configured entries, for the startup report; does not wait for servers. */
export function configuredModels(): Model[] {
  return catalogue().entries;
}

export function defaultModelId(): string {
  return catalogue().defaultId;
}

export function hasPaidModel(): boolean {
  return catalogue().paid;
}

/** Keys and other secrets of all providers. */
export function providerSecrets(): string[] {
  return catalogue().secrets;
}

/**
 * Resolves an id (`openai:gpt-5-mini`) or the part after its first colon (`gpt-5-mini`: first
 * match); without a name, the default. An unknown name refreshes the servers' lists. Throws
 * AppError `bad_request` for an unknown name and `unavailable` for a model that is not ready.
 */
export async function requireModel(name?: string): Promise<ReadyModel> {
  const models = catalogue();
  if (!models.has(name)) await orTimeout(models.refresh(unknownAgeMs), listWaitMs);
  const model = models.require(name);
  if (model.abilities.contextTokens === undefined) void models.refresh(unknownContextAgeMs);
  return model;
}

/**
 * Resolves one of EMBEDDING_MODELS by id or the part after the first colon, without a name the
 * first; if none are configured, a catalogue model whose provider makes embeddings. Throws like
 * requireModel.
 */
export async function requireEmbeddingModel(name?: string): Promise<ReadyEmbeddingModel> {
  const models = catalogue();
  const configured = env().EMBEDDING_MODELS.length > 0;
  if (!configured && name && !models.has(name)) await orTimeout(models.refresh(unknownAgeMs), listWaitMs);
  return models.requireEmbedding(name);
}

type Entry = { id: string; provider: string } & ({ name: string; at: Provider } | { reason: string });

/** Never throws and sends nothing: problems with an entry go into its `reason`. */
export function buildCatalogue(env: Env, file: ModelsFile = noModelsFile): Catalogue {
  const providers = providersOf(env, file);
  const entries = Array.from(new Set(entryIds(env, providers)), (id) => entryOf(id, providers));
  const lists = new Map<string, ModelList>();
  for (const entry of entries) {
    if (!("at" in entry) || entry.at.reason || lists.has(entry.provider)) continue;
    const { list, title } = entry.at;
    const server = title ? `The model server ${title}` : "The model server of OPENAI_BASE_URL";
    if (list) lists.set(entry.provider, new ModelList({ server, list, onChange: () => (current = null) }));
  }
  /** Kept while the id is offered: the model remembers what its server refuses. */
  const prepared = new Map<string, { chat?: LanguageModelV4; completion?: LanguageModelV4 }>();
  let current: Model[] | null = null;

  function models(): Model[] {
    if (current) return current;
    const offered = new Map(entries.flatMap(modelsOf).map((model) => [model.id, model]));
    for (const id of prepared.keys()) if (!offered.has(id)) prepared.delete(id);
    current = [...offered.values()];
    return current;
  }

  function modelsOf(entry: Entry): Model[] {
    if (!("at" in entry) || entry.name !== "*") return [modelOf(entry)];
    const list = lists.get(entry.provider);
    if (!list?.models) return [{ ...modelOf(entry), ready: false, reason: list?.reason ?? reasonOf(entry) }];
    return Array.from(list.models.keys(), (name) => modelOf({ ...entry, id: `${entry.provider}:${name}`, name }));
  }

  function modelOf(entry: Entry): Model {
    const { id, provider } = entry;
    if (id === "local")
      return { id, label: "Local extracts (no language model)", provider, ready: true, abilities: { tools: false } };
    const reason = reasonOf(entry);
    const label = "at" in entry ? labelOf(entry.at, entry.name) : id;
    return { id, label, provider, ready: !reason, ...(reason && { reason }), abilities: abilitiesOf(id) };
  }

  /** The operator's settings override the server's. */
  function abilitiesOf(id: string): Abilities {
    const [provider = "", name = ""] = splitId(id) ?? [];
    const listed = lists.get(provider)?.models?.get(name);
    return { ...listed, ...providers.get(provider)?.described?.get(name)?.abilities, ...file.abilities[id] };
  }

  function callable({ id, provider }: Model, api: "chat" | "completion"): LanguageModelV4 {
    if (id === "local") return localModel();
    const known = prepared.get(id)?.[api];
    if (known) return known;
    const name = splitId(id)?.[1] ?? "";
    const at = providers.get(provider) as Provider;
    const asked = api === "completion" && at.completion ? { ...at, load: at.completion } : at;
    const model = prepareModel({ provider, name }, asked, env, () => abilitiesOf(id));
    prepared.set(id, { ...prepared.get(id), [api]: model });
    return model;
  }

  function find(name = models()[0]?.id): Model | undefined {
    const all = models();
    // A page opened before the list arrived still asks for the wildcard.
    const prefix = name?.endsWith(":*") ? name.slice(0, -1) : undefined;
    return (
      all.find(({ id }) => id === name) ??
      all.find(({ id }) => splitId(id)?.[1] === name) ??
      all.find(({ id }) => prefix && id.startsWith(prefix))
    );
  }

  return {
    get models() {
      return models();
    },
    entries: entries.map(modelOf),
    get defaultId() {
      return models()[0]?.id ?? "local";
    },
    paid: entries.some((entry) => "at" in entry && entry.at.paid),
    secrets: [...providers.values()].flatMap(({ secrets }) => secrets.filter((secret) => secret !== undefined)),
    get awaitsList() {
      return models().some(isWildcard);
    },
    has(name) {
      const found = find(name);
      return found !== undefined && !isWildcard(found);
    },
    require(name) {
      const found = find(name);
      if (!found)
        throw new AppError("bad_request", `model: unknown. Available are: ${namesOf(models())}.`, {
          details: { reason: "model_not_found" },
        });
      const { id, label, provider, abilities, reason } = found;
      if (!found.ready) throw new AppError("unavailable", `The model ${id} is not ready. ${reason}`);
      const fields = providers.get(provider)?.fields ?? localFields;
      const completion = providers.get(provider)?.completion && (() => callable(found, "completion"));
      const background = providers.get(provider)?.background;
      const model = callable(found, "chat");
      return { id, label, provider, abilities, fields, completion, model, ...(background && { background }) };
    },
    requireEmbedding(name) {
      const named = env.EMBEDDING_MODELS.find((id) => !name || id === name || splitId(id)?.[1] === name);
      const id = named ?? (name === undefined ? undefined : find(name)?.id);
      const [prefix = "", model = ""] = (id && splitId(id)) || [];
      const provider = providers.get(prefix);
      const { embedding, reason, paid } = provider ?? {};
      if (!id || !provider || !embedding) {
        const details = { reason: "model_not_found" };
        throw new AppError("bad_request", "model: unknown embedding model. EMBEDDING_MODELS lists them.", {
          details,
        });
      }
      if (reason) throw new AppError("unavailable", `The model ${id} is not ready. ${reason}`);
      return { id, options: provider.fields.options, paid: paid ?? false, load: () => embedding(model) };
    },
    async refresh(maxAgeMs) {
      if (lists.size > 0) await Promise.all(Array.from(lists.values(), (list) => list.refresh(maxAgeMs)));
    },
  };
}

function entryIds(env: Env, providers: Map<string, Provider>): string[] {
  if (env.MODELS.length > 0) return env.MODELS;
  const offered = [...providers].flatMap(([prefix, { offers }]) => offers.map((name) => `${prefix}:${name}`));
  return offered.length > 0 ? offered : ["local"];
}

function entryOf(id: string, providers: Map<string, Provider>): Entry {
  if (id === "local") return { id, provider: "local", reason: "" };
  const [provider = id, name = ""] = splitId(id) ?? [];
  const at = providers.get(provider);
  if (at && name) return { id, provider, name, at };
  const known = Array.from(providers.keys(), (each) => `${each}:<model>`);
  return { id, provider, reason: `MODELS has an entry that is none of ${[...known, "local"].join(", ")}.` };
}

function reasonOf(entry: Entry): string | undefined {
  if (!("at" in entry)) return entry.reason;
  if (entry.name === "*" && !entry.at.list && !entry.at.reason)
    return `It cannot list its models. Name them in MODELS, as ${entry.provider}:<model>.`;
  return entry.at.reason;
}

function labelOf({ title, described }: Provider, name: string): string {
  if (name === "*") return title || "OpenAI";
  return described?.get(name)?.label ?? (title ? `${name} (${title})` : name);
}

function isWildcard({ id }: Model): boolean {
  return id.endsWith(":*");
}

/** For an error message: at most the first 20. */
function namesOf(models: Model[]): string {
  const shown = models.slice(0, 20).map(({ id }) => id);
  return shown.join(", ") + (models.length > shown.length ? ` and ${models.length - shown.length} more` : "");
}

/** Ollama names contain colons (`ollama:llama3.2:3b`), so only the first one separates. */
function splitId(id: string): [provider: string, name: string] | null {
  const colon = id.indexOf(":");
  return colon < 0 ? null : [id.slice(0, colon), id.slice(colon + 1)];
}
