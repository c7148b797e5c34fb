// What the catalogue knows of a provider: one function each makes it of the configuration. It sends
// nothing until a model is called or listed, and its sentences name variables, never their values.
import type { EmbeddingModelV4, LanguageModelV4 } from "@ai-sdk/provider";
import type { Abilities } from "@/lib/models/abilities";
import type { FieldSupport } from "@/lib/models/request-fields";

/** A model as its server lists it. */
export type ListedModel = { name: string; abilities: Abilities };

/** What the operator says of a model. */
export type DescribedModel = { label?: string; abilities?: Abilities };

export type Background = {
  /** Ends an answer that nobody wants any more. Rejects when the server does not answer. */
  cancel(responseId: string): Promise<void>;
};

export type Provider = {
  /** For people, behind the names of its models; empty where a name says enough. */
  title: string;
  /** Why none of its models can be called. */
  reason?: string;
  /** Its calls are billed to the operator's key. */
  paid: boolean;
  /** Keys and the like, which no log may quote. */
  secrets: (string | undefined)[];
  /** The models it offers when `MODELS` is empty; `*` for all that its server lists. */
  offers: string[];
  /** Loads the provider's package at the first call. */
  load(name: string): LanguageModelV4 | Promise<LanguageModelV4>;
  /** A model that goes on with the text of the fields `prompt` and `suffix`, and not with messages. */
  completion?(name: string): LanguageModelV4;
  /** A model that makes vectors. Without it, its API has none, or none that is used here. */
  embedding?(name: string): EmbeddingModelV4;
  /**
   * The models that its server has now. Rejects when it does not say. Without it, models are named
   * by the operator.
   */
  list?(signal: AbortSignal): Promise<ListedModel[]>;
  /** By name. */
  described?: Map<string, DescribedModel>;
  /** Its answers are made in the background and can be read on (background.ts). */
  background?: Background;
  /**
   * The name of the adapter's options when single fields of its requests can be left out
   * (repairs.ts).
   */
  fieldOptions?: string;
  /** What it takes of a client's request. */
  fields: FieldSupport;
};
