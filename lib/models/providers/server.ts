// An OpenAI-compatible server from models.json.
import { createOpenAI } from "@ai-sdk/openai";
import { variable } from "@/lib/env";
import { listCompatible } from "@/lib/models/list-compatible";
import type { ServerEntry } from "@/lib/models/models-file";
import { providerFetch } from "@/lib/models/provider-fetch";
import { compatibleFields, responsesFields } from "@/lib/models/request-fields";
import { type CompatibleServer, compatible, compatibleCompletion, compatibleEmbedding, noKey } from "./compatible";
import { notStored } from "./openai";
import type { Provider } from "./provider";

export function namedServer(entry: ServerEntry): Provider {
  const { name, baseUrl: baseURL, apiKeyVariable, headers, query, api, models } = entry;
  const apiKey = apiKeyVariable && variable(apiKeyVariable);
  const server = { name, baseURL, apiKey: apiKey || undefined, headers, query };
  return {
    title: entry.title ?? name,
    ...(apiKeyVariable && !apiKey && { reason: `${apiKeyVariable} is not set.` }),
    paid: Boolean(apiKey) || [headers, query].some((named) => Object.keys(named ?? {}).some(isKeyName)),
    secrets: [apiKey, ...Object.values(headers ?? {}), ...Object.values(query ?? {})],
    offers: models?.map(({ id }) => id) ?? ["*"],
    load: (model) => (api === "chat" ? compatible(server, model) : responsesModel(server, model)),
    ...(api === "chat" && { completion: (model: string) => compatibleCompletion(server, model) }),
    embedding: (model) => compatibleEmbedding(server, model),
    list: (signal) => listCompatible(server, signal),
    described: new Map(models?.map(({ id, ...described }) => [id, described])),
    ...(api === "chat" && { fieldOptions: name }),
    fields: api === "chat" ? compatibleFields(name) : responsesFields("openai"),
  };
}

/** Whether a header or parameter carries a key, which guests must not spend. */
function isKeyName(name: string): boolean {
  return /auth|key|token|secret|cookie/i.test(name);
}

function responsesModel({ baseURL, apiKey = noKey, headers, query }: CompatibleServer, model: string) {
  const withQuery: typeof fetch = (input, init) => {
    const url = new URL(String(input));
    for (const [key, value] of Object.entries(query ?? {})) url.searchParams.set(key, value);
    return providerFetch(url, init);
  };
  const provider = createOpenAI({ baseURL, apiKey, ...(headers && { headers }), fetch: withQuery });
  return notStored(provider.responses(model), "openai");
}
