// What the catalogue knows of a provider, built from the configuration by one function each.
// Nothing is sent until a model is called or listed, and messages name variables, never their
// values.
import type { EmbeddingModelV4, LanguageModelV4 } from "@ai-sdk/provider";
import type { Abilities } from "@/lib/models/abilities";
import type { FieldSupport } from "@/lib/models/request-fields";

/** A model as listed by its server. */
export type ProviderModel = { name: string; abilities: Abilities };

/** A model as described by the operator. */
export type DescribedModel = { label?: string; abilities?: Abilities };

export type Background = {
  /** Cancels an unwanted answer. Rejects if the server does not respond. */
  cancel(responseId: string): Promise<void>;
};

export type Provider = {
  /** Shown after its models' names; empty if the name is enough. */
  title: string;
  /** Why none of its models can be called. */
  reason?: string;
  /** Its calls are billed to the operator's key. */
  paid: boolean;
  /** Keys and other values that must never be logged. */
  secrets: (string | undefined)[];
  /** Models offered when `MODELS` is empty; `*` for everything its server lists. */
  offers: string[];
  /** Loads the provider's package on the first call. */
  load(name: string): LanguageModelV4 | Promise<LanguageModelV4>;
  /** A model that completes the text of `prompt` and `suffix` instead of messages. */
  completion?(name: string): LanguageModelV4;
  /** An embedding model. Undefined if its API has none, or none that is used here. */
  embedding?(name: string): EmbeddingModelV4;
  /**
   * The models its server has now. Rejects if the server does not say. Undefined: the operator
   * names the models.
   */
  list?(signal: AbortSignal): Promise<ProviderModel[]>;
  /** By name. */
  described?: Map<string, DescribedModel>;
  /** Set if its answers run in the background and can be resumed (background.ts). */
  background?: Background;
  /** The adapter's option namespace, if single request fields can be omitted (repairs.ts). */
  fieldOptions?: string;
  /** Client request fields it supports. */
  fields: FieldSupport;
};
