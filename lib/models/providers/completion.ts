// A model of a compatible server that goes on with a text, by the API that OpenAI had before Chat Completions: editors complete code
// with it. Read by the adapter of Chat Completions, since the answers differ in one field, which the reader knows.
import type { LanguageModelV4, LanguageModelV4CallOptions } from "@ai-sdk/provider";
import { APICallError } from "ai";
import { fieldsOption } from "@/lib/models/request-fields";
import { SettingLeftOut } from "@/lib/turn/steps";

/** What a server without such an API answers. */
const missing = [404, 405, 501];

/** `text` asks for a completion. A server that has none is asked by `chat`, unless there is a suffix. */
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
      if (suffix) throw new SettingLeftOut("suffix");
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
