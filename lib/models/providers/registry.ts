// All providers of this server, by model id prefix: the built-in ones, in the order in which they
// are offered, and the servers of models.json. A new provider is one entry here.
import type { Env } from "@/lib/env";
import type { ModelsFile } from "@/lib/models/models-file";
import { anthropic, azure, bedrock, deepseek, google, groq, mistral, openrouter, xai } from "./hosted";
import { ollama } from "./ollama";
import { openai } from "./openai";
import type { Provider } from "./provider";
import { namedServer } from "./server";

const known: Record<string, (env: Env) => Provider> = {
  openai,
  anthropic,
  google,
  mistral,
  deepseek,
  groq,
  xai,
  openrouter,
  azure,
  bedrock,
  ollama,
};

/** Prefixes that servers in models.json may not use. */
export const knownProviders = [...Object.keys(known), "local"];

export function providersOf(env: Env, { servers }: Pick<ModelsFile, "servers">): Map<string, Provider> {
  return new Map([
    ...Object.entries(known).map(([name, open]): [string, Provider] => [name, open(env)]),
    ...servers.map((entry): [string, Provider] => [entry.name, namedServer(entry)]),
  ]);
}
