// Ollama, called through its OpenAI-compatible endpoint (docs/decisions/0032) and listed through
// its own API.
import type { Env } from "@/lib/env";
import { listOllama } from "@/lib/models/list-ollama";
import { compatibleFields } from "@/lib/models/request-fields";
import { compatible, compatibleCompletion, compatibleEmbedding } from "./compatible";
import type { Provider } from "./provider";

export function ollama({ OLLAMA_BASE_URL }: Env): Provider {
  const common = {
    title: "Ollama",
    paid: false,
    secrets: [],
    fieldOptions: "ollama",
    fields: compatibleFields("ollama"),
  };
  if (!OLLAMA_BASE_URL)
    return { ...common, reason: "OLLAMA_BASE_URL is not set.", offers: [], load: () => Promise.reject() };
  let root = OLLAMA_BASE_URL;
  while (root.endsWith("/")) root = root.slice(0, -1);
  root = root.replace(/\/v1$/, "");
  const server = { name: "ollama", baseURL: `${root}/v1` };
  return {
    ...common,
    offers: ["*"],
    load: (name) => compatible(server, name),
    completion: (name) => compatibleCompletion(server, name),
    embedding: (name) => compatibleEmbedding(server, name),
    list: (signal) => listOllama(root, signal),
  };
}
