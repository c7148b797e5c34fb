// Which models this server offers (docs/protocol.md §7): names in, callable models out. An entry is
// configured, by `MODELS` or models.json, or listed by a server of which all are offered
// (`ollama:*`). Nothing of a provider's protocol here (providers/), and no choice for a user: that
// is the caller's.
import { setTimeout as delay } from "node:timers/promises";
import type { EmbeddingModelV4, LanguageModelV4 } from "@ai-sdk/provider";
import { type Env, env } from "@/lib/env";
import { AppError } from "@/lib/errors";
import type { Abilities } from "./abilities";
import { localModel } from "./local";
import { ModelList } from "./model-list";
import { type ModelsFile, noModelsFile, readModelsFile } from "./models-file";
import { preparedModel } from "./prepared";
import type { Background, Provider } from "./providers/contract";
import { knownProviders, providersOf } from "./providers/registry";
import { type FieldSupport, localFields } from "./request-fields";

/** As `GET /api/models` lists it. `reason` says why it is not ready. */
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
  /** What it takes of a client's request. */
  fields: FieldSupport;
  /** Goes on with a text, where its server has an API for that. */
  completion: (() => LanguageModelV4) | undefined;
  /** Its answers can be read on by another server. */
  background?: Background;
};

export type ReadyEmbeddingModel = {
  id: string;
  /** The name under which its adapter reads its options. */
  options: string;
  paid: boolean;
  load(): EmbeddingModelV4;
};

export type Catalogue = {
  /** In the order of `MODELS`, with what is listed in the place of its wildcard. */
  readonly models: Model[];
  /** As configured: a wildcard is one entry, and ready when its server can be asked. */
  readonly entries: Model[];
  /**
   * The first of `models`, ready or not: a default that changes silently would hide a wrong
   * configuration.
   */
  readonly defaultId: string;
  /** Some model is billed to the operator's key. */
  readonly paid: boolean;
  /** What no log may quote. */
  readonly secrets: string[];
  /** Some server of which all models are offered has never listed them. */
  readonly awaitsList: boolean;
  knows(name?: string): boolean;
  /** See requireModel. */
  require(name?: string): ReadyModel;
  /** See requireEmbeddingModel. */
  requireEmbedding(name?: string): ReadyEmbeddingModel;
  /**
   * Asks the servers that list their models, unless they were asked less than `maxAgeMs` ago. Never
   * rejects.
   */
  refresh(maxAgeMs: number): Promise<void>;
};

/** A new model at a server is seen after this long, or when somebody asks for it. */
const listAgeMs = 5 * 60_000;
/** For a name that is not known, no server is asked more often than this. */
const unknownAgeMs = 10_000;
/**
 * The context of a model that its server tells only once it is loaded is asked for this often,
 * while the model is used.
 */
const unknownContextAgeMs = 60_000;
/** How long a request waits for a list. */
const patienceMs = 3_000;

// Next bundles each route apart; one catalogue a process means one set of connections a provider.
const key = Symbol.for("rivulet.models");
const shared = globalThis as { [key]?: Catalogue };

function catalogue(): Catalogue {
  if (!shared[key]) {
    const values = env();
    shared[key] = buildCatalogue(values, readModelsFile(values.MODELS_FILE, knownProviders));
  }
  void shared[key].refresh(listAgeMs);
  return shared[key];
}

/** Waits a little for a server that has never listed its models. */
export async function listModels(): Promise<Model[]> {
  const known = catalogue();
  if (known.awaitsList) await patiently(known.refresh(listAgeMs));
  return known.models;
}

/** What is configured, for the report at the start: nobody is waited for. */
export function configuredModels(): Model[] {
  return catalogue().entries;
}

export function defaultModelId(): string {
  return catalogue().defaultId;
}

export function hasPaidModel(): boolean {
  return catalogue().paid;
}

/** Keys and the like of all providers. */
export function providerSecrets(): string[] {
  return catalogue().secrets;
}

/**
 * By id (`openai:gpt-5-mini`) or by the part after the first colon (`gpt-5-mini`: the first that
 * matches); without a name the default. A name that is not known is looked for at the servers that
 * list their models. Throws AppError `bad_request` for an unknown name and `unavailable` for a
 * model that is not ready.
 */
export async function requireModel(name?: string): Promise<ReadyModel> {
  const known = catalogue();
  if (!known.knows(name)) await patiently(known.refresh(unknownAgeMs));
  const model = known.require(name);
  if (model.abilities.contextTokens === undefined) void known.refresh(unknownContextAgeMs);
  return model;
}

/**
 * One of EMBEDDING_MODELS, by its id or the part after the first colon, without a name the first; else a model of the catalogue
 * whose provider makes vectors. Throws like requireModel.
 */
export async function requireEmbeddingModel(name?: string): Promise<ReadyEmbeddingModel> {
  const known = catalogue();
  const configured = env().EMBEDDING_MODELS.length > 0;
  if (!configured && name && !known.knows(name)) await patiently(known.refresh(unknownAgeMs));
  return known.requireEmbedding(name);
}

async function patiently(answer: Promise<void>): Promise<void> {
  const left = new AbortController();
  await Promise.race([answer, delay(patienceMs, undefined, { signal: left.signal, ref: false }).catch(() => {})]);
  left.abort();
}

type Entry = { id: string; provider: string } & ({ name: string; at: Provider } | { reason: string });

/** Never throws and sends nothing: what is wrong with an entry is said in its `reason`. */
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
  /** Kept for as long as its id is offered: it remembers what its server refuses. */
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

  /** What the operator says counts more than what the server does. */
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
    const model = preparedModel({ provider, name }, asked, env, () => abilitiesOf(id));
    prepared.set(id, { ...prepared.get(id), [api]: model });
    return model;
  }

  function find(name = models()[0]?.id): Model | undefined {
    const all = models();
    // A page that was opened before the list had come asks for the wildcard.
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
    knows(name) {
      const found = find(name);
      return found !== undefined && !isWildcard(found);
    },
    require(name) {
      const found = find(name);
      if (!found)
        throw new AppError("bad_request", `model: not known here. There is: ${namesOf(models())}.`, {
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
        throw new AppError("bad_request", "model: no such embedding model here. EMBEDDING_MODELS names them.", {
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

/** For a sentence: of a long list its beginning. */
function namesOf(models: Model[]): string {
  const shown = models.slice(0, 20).map(({ id }) => id);
  return shown.join(", ") + (models.length > shown.length ? ` and ${models.length - shown.length} more` : "");
}

/** Ollama's names hold colons of their own (`ollama:llama3.2:3b`), so only the first one counts. */
function splitId(id: string): [provider: string, name: string] | null {
  const colon = id.indexOf(":");
  return colon < 0 ? null : [id.slice(0, colon), id.slice(colon + 1)];
}
