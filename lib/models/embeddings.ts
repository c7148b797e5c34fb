// Embeddings for clients that search by themselves: from EMBEDDING_MODELS and catalogue models
// whose server has an API for it. Nothing here is stored.
import { embedMany } from "ai";
import { env } from "@/lib/env";
import { AppError } from "@/lib/errors";
import type { TurnCall } from "@/lib/turn/turn-input";
import { requireEmbeddingModel } from "./catalogue";

export type Embeddings = { model: string; embeddings: number[][]; tokens: number };
type EmbeddingRequest = { model?: string | undefined; texts: string[]; fields: NonNullable<TurnCall["fields"]> };

/**
 * One vector per text, in order. Throws AppError for a model that is missing or not allowed for
 * this caller, else the provider's error; not retried.
 */
export async function embedTexts(
  { model: name, texts, fields }: EmbeddingRequest,
  guest: boolean,
  signal: AbortSignal,
): Promise<Embeddings> {
  const { id, options, paid, load } = await requireEmbeddingModel(name);
  // Embeddings do not count against token budgets.
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
