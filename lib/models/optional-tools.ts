// Models that take no tools, such as some of Ollama's. Their server refuses the whole request, so the tools that come
// unasked are left away at the second attempt, and from then on. Tools that a client brought along never are: it is told.
import type { LanguageModelV4CallOptions } from "@ai-sdk/provider";
import { APICallError, type LanguageModelMiddleware } from "ai";

/** Ollama: "… does not support tools" (400). vLLM and llama.cpp name a flag with "tool" in it (400, 500, 501). */
const refusal = /\btools?\b|tool-/i;
const statuses = new Set([400, 422, 500, 501]);

/** One for each model, for it remembers what that model takes. The second attempt is a request of its own. */
export function optionalTools(): LanguageModelMiddleware {
  let refused = false;

  async function call<T>(
    params: LanguageModelV4CallOptions,
    send: (params: LanguageModelV4CallOptions) => PromiseLike<T>,
  ): Promise<T> {
    const fewer = withoutOptional(params);
    if (!fewer || refused) return send(fewer ?? params);
    try {
      return await send(params);
    } catch (error) {
      if (!refusesTools(error)) throw error;
      const answer = await send(fewer);
      refused = true;
      return answer;
    }
  }

  return {
    specificationVersion: "v4",
    wrapGenerate: ({ params, model }) => call(params, (each) => model.doGenerate(each)),
    wrapStream: ({ params, model }) => call(params, (each) => model.doStream(each)),
  };
}

/** Null when there is nothing to leave away. A run marks its own tools by `providerOptions: {rivulet: {optional: true}}`. */
function withoutOptional(params: LanguageModelV4CallOptions): LanguageModelV4CallOptions | null {
  const isOptional = (tool: NonNullable<typeof params.tools>[number]) =>
    tool.type === "function" && tool.providerOptions?.rivulet?.optional === true;
  if (!params.tools?.some(isOptional)) return null;
  const tools = params.tools.filter((tool) => !isOptional(tool));
  return tools.length > 0 ? { ...params, tools } : { ...params, tools: undefined, toolChoice: undefined };
}

function refusesTools(error: unknown): boolean {
  if (!APICallError.isInstance(error) || !statuses.has(error.statusCode ?? 0)) return false;
  return refusal.test(`${error.message} ${error.responseBody ?? ""}`);
}
