// Output caps that a model's server refuses because the model cannot produce that many tokens, or because
// prompt and cap together exceed its context. The server then applies its own, smaller limit.
import type { LanguageModelV4CallOptions } from "@ai-sdk/provider";
import { APICallError, type LanguageModelMiddleware } from "ai";

/** OpenAI and vLLM name the parameter, older ones the context (400, 422). */
const refusal = /max_(?:completion_|output_)?tokens|maximum context length/i;
const statuses = new Set([400, 422]);

/**
 * Repeats a refused call without its cap when that is `defaultCap`, which the client did not choose. Not
 * remembered: whether a cap fits may depend on the prompt.
 */
export function optionalCap(defaultCap: number): LanguageModelMiddleware {
  async function call<T>(
    params: LanguageModelV4CallOptions,
    send: (params: LanguageModelV4CallOptions) => PromiseLike<T>,
  ): Promise<T> {
    try {
      return await send(params);
    } catch (error) {
      if (params.maxOutputTokens !== defaultCap || !refusesCap(error)) throw error;
      return send({ ...params, maxOutputTokens: undefined });
    }
  }

  return {
    specificationVersion: "v4",
    wrapGenerate: ({ params, model }) => call(params, (each) => model.doGenerate(each)),
    wrapStream: ({ params, model }) => call(params, (each) => model.doStream(each)),
  };
}

function refusesCap(error: unknown): boolean {
  if (!APICallError.isInstance(error) || !statuses.has(error.statusCode ?? 0)) return false;
  return refusal.test(`${error.message} ${error.responseBody ?? ""}`);
}
