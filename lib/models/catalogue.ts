// Which models this server offers, from `MODELS` (docs/protocol.md §7): names in, callable models out.
// Nothing of a provider's protocol here (providers.ts), and no choice for a user: that is the caller's.
import type { LanguageModelV4 } from "@ai-sdk/provider";
import { type Env, env } from "@/lib/env";
import { AppError } from "@/lib/errors";
import type { Abilities } from "./abilities";
import { localModel } from "./local";
import { isPaid, type Prepared, providers } from "./providers";

/** As `GET /api/models` lists it. `reason` says why it is not ready. */
export type Model = {
  id: string;
  label: string;
  provider: string;
  ready: boolean;
  reason?: string;
  abilities: Abilities;
};

export type ReadyModel = { id: string; label: string; provider: string; model: LanguageModelV4; abilities: Abilities };

export type Catalogue = {
  /** In the order of `MODELS`. */
  models: Model[];
  /** The first of `models`, ready or not: a default that changes silently would hide a wrong configuration. */
  defaultId: string;
  /** Some model is billed to the operator's key. */
  paid: boolean;
  /** See requireModel. */
  require(name?: string): ReadyModel;
};

// Next bundles each route apart; one catalogue a process means one set of connections a provider.
const key = Symbol.for("rivulet.models");
const shared = globalThis as { [key]?: Catalogue };

function catalogue(): Catalogue {
  shared[key] ??= buildCatalogue(env());
  return shared[key];
}

export function listModels(): Model[] {
  return catalogue().models;
}

export function defaultModelId(): string {
  return catalogue().defaultId;
}

export function hasPaidModel(): boolean {
  return catalogue().paid;
}

/**
 * By id (`openai:gpt-5-mini`) or by the part after the first colon (`gpt-5-mini`: the first that matches); without a
 * name the default. Throws AppError `bad_request` for an unknown name and `unavailable` for a model that is not ready.
 */
export function requireModel(name?: string): ReadyModel {
  return catalogue().require(name);
}

/** Never throws: what is wrong with an entry is said in its `reason`. */
export function buildCatalogue(env: Env): Catalogue {
  const prepared = new Map(entries(env).map((id) => [id, prepare(id, env)]));
  const models = Array.from(prepared, ([id, { provider, label, ...state }]): Model => {
    return "model" in state
      ? { id, label, provider, ready: true, abilities: {} }
      : { id, label, provider, ready: false, reason: state.reason, abilities: {} };
  });
  const defaultId = models[0]?.id ?? "local";

  return {
    models,
    defaultId,
    paid: models.some(({ provider }) => isPaid(provider, env)),
    require(name = defaultId) {
      const found = models.find(({ id }) => id === name) ?? models.find(({ id }) => bareName(id) === name);
      const entry = found && prepared.get(found.id);
      if (!found || !entry) {
        throw new AppError("bad_request", `model: not known here. There is: ${models.map(({ id }) => id).join(", ")}.`);
      }
      if (!("model" in entry)) {
        throw new AppError("unavailable", `The model ${found.id} is not ready. ${entry.reason}`);
      }
      const { id, label, provider, abilities } = found;
      return { id, label, provider, abilities, model: entry.model };
    },
  };
}

function entries(env: Env): string[] {
  if (env.MODELS.length > 0) return env.MODELS;
  const configured = [
    ...(env.OPENAI_API_KEY ? ["openai:gpt-5-mini"] : []),
    ...(env.OLLAMA_BASE_URL ? ["ollama:llama3.2"] : []),
  ];
  return configured.length > 0 ? configured : ["local"];
}

function prepare(id: string, env: Env): Prepared & { provider: string } {
  if (id === "local") return { provider: "local", label: "Local extracts (no language model)", model: localModel() };
  const [provider = ""] = id.split(":", 1);
  const name = bareName(id);
  const open = Object.hasOwn(providers, provider) ? providers[provider] : undefined;
  if (open && name) return { provider, ...open(name, env) };
  const known = Object.keys(providers).map((each) => `${each}:<model>`);
  return { provider, label: id, reason: `MODELS has an entry that is none of ${[...known, "local"].join(", ")}.` };
}

/** Ollama's names hold colons of their own (`ollama:llama3.2:3b`), so only the first one counts. */
function bareName(id: string): string | null {
  return id.includes(":") ? id.slice(id.indexOf(":") + 1) : null;
}
