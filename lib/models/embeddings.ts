// Vectors of texts, for clients that search by themselves: by the models of EMBEDDING_MODELS, and those of the catalogue whose
// server has an API for it. Nothing here is stored.
import { embedMany } from "ai";
import { env } from "@/lib/env";
import { AppError } from "@/lib/errors";
import type { TurnCall } from "@/lib/turn/turn-context";
import { requireEmbeddingModel } from "./catalogue";

export type Embeddings = { model: string; embeddings: number[][]; tokens: number };
type Asked = { model?: string | undefined; texts: string[]; fields: NonNullable<TurnCall["fields"]> };

/**
 * One vector for each text, in their order. Throws AppError for a model that is not there, or that this caller may not use, else
 * what the provider's call throws, which is not repeated.
 */
export async function embedTexts(
  { model: name, texts, fields }: Asked,
  guest: boolean,
  signal: AbortSignal,
): Promise<Embeddings> {
  const { id, options, paid, load } = await requireEmbeddingModel(name);
  // No budget of tokens is counted here.
  if (guest && paid) throw new AppError("forbidden", "Guests may not use this model. Sign in with an account.");
  const timeout = AbortSignal.timeout(env().FIRST_CHUNK_TIMEOUT_MS);
  const { embeddings, usage } = await embedMany({
    model: await load(),
    values: texts,
    maxRetries: 0,
    maxParallelCalls: 2,
    abortSignal: AbortSignal.any([signal, timeout]),
    providerOptions: { [options]: fields },
  });
  return { model: name ?? id, embeddings, tokens: usage.tokens || 0 };
}
