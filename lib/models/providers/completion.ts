// Text completion on a compatible server, through the API that preceded Chat Completions: editors
// complete code with it. Read by the Chat Completions adapter: answers differ in one field, which
// the event reader handles.
import type { LanguageModelV4, LanguageModelV4CallOptions } from "@ai-sdk/provider";
import { APICallError } from "ai";
import { fieldsOption } from "@/lib/models/request-fields";
import { UnsupportedSetting } from "@/lib/turn/steps";

/** Statuses of a server without this API. */
const missing = [404, 405, 501];

/**
 * `text` requests a completion. A server without one is asked through `chat`, unless there is a
 * suffix.
 */
export function completionModel(name: string, text: LanguageModelV4, chat: LanguageModelV4): LanguageModelV4 {
  async function call<T>(
    options: LanguageModelV4CallOptions,
    send: (model: LanguageModelV4, options: LanguageModelV4CallOptions) => PromiseLike<T>,
  ) {
    try {
      return await send(text, options);
    } catch (error) {
      if (!APICallError.isInstance(error) || !missing.includes(error.statusCode ?? 0)) throw error;
      const { [fieldsOption]: fields, ...rest } = options.providerOptions?.[name] ?? {};
      const { prompt: _, suffix, ...others } = (fields ?? {}) as Record<string, string>;
      if (suffix) throw new UnsupportedSetting("suffix");
      const own = { ...rest, [fieldsOption]: others };
      return send(chat, { ...options, providerOptions: { ...options.providerOptions, [name]: own } });
    }
  }
  return {
    specificationVersion: "v4",
    provider: chat.provider,
    modelId: chat.modelId,
    supportedUrls: chat.supportedUrls,
    doGenerate: (options) => call(options, (model, each) => model.doGenerate(each)),
    doStream: (options) => call(options, (model, each) => model.doStream(each)),
  };
}
