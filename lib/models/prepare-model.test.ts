import { streamText, tool } from "ai";
import { afterAll, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import { parseEnv } from "@/lib/env";
import { type Provider, says, startProvider } from "@/test/provider";
import type { Abilities } from "./abilities";
import { prepareModel } from "./prepare-model";
import { providersOf } from "./providers/registry";
import { compatibleFields } from "./request-fields";

let provider: Provider;
beforeAll(async () => {
  provider = await startProvider(says("Good day."));
});
afterAll(() => provider.close());

const inputSchema = z.object({});
const tools = {
  own: tool({ inputSchema, providerOptions: { rivulet: { optional: true } } }),
  theirs: tool({ inputSchema }),
};

/** The tool names and the cap in the request. */
async function asked(abilities: () => Abilities, maxOutputTokens?: number) {
  const env = parseEnv({ OLLAMA_BASE_URL: provider.url });
  const ollama = providersOf(env, { servers: [] }).get("ollama");
  if (!ollama) throw new Error("there is no Ollama");
  const model = prepareModel({ provider: "ollama", name: "m" }, ollama, env, abilities);
  await streamText({ model, prompt: "Hello", tools, ...(maxOutputTokens && { maxOutputTokens }) }).text;
  const { body } = provider.requests.at(-1) as {
    body: { tools?: { function: { name: string } }[]; max_tokens?: number };
  };
  return { tools: body.tools?.map((each) => each.function.name), cap: body.max_tokens };
}

it("offers a model without tool support only the client's tools", async () => {
  expect(await asked(() => ({ tools: false }))).toEqual({ tools: ["theirs"], cap: undefined });
  expect(await asked(() => ({}))).toEqual({ tools: ["own", "theirs"], cap: undefined });
});

it.each([
  [{ maxOutputTokens: 100 }, 4_000, 100],
  [{ maxOutputTokens: 100 }, 50, 50],
  [{ maxOutputTokens: 100 }, undefined, undefined],
  [{}, 4_000, 4_000],
])("with %j a cap of %s becomes %s", async (abilities, cap, sent) => {
  expect((await asked(() => abilities, cap)).cap).toBe(sent);
});

it("loads a provider's package once, at the first call, and retries after a failure", async () => {
  const env = parseEnv({});
  let loads = 0;
  const failing = {
    title: "",
    paid: false,
    secrets: [],
    offers: [],
    fields: compatibleFields("x"),
    load: () => {
      loads += 1;
      return Promise.reject(new Error("not there"));
    },
  };
  const model = prepareModel({ provider: "x", name: "m" }, failing, env, () => ({}));
  expect(loads).toBe(0);
  const prompt = [{ role: "user" as const, content: [{ type: "text" as const, text: "Hello" }] }];
  await expect(model.doStream({ prompt })).rejects.toThrow("not there");
  await expect(model.doStream({ prompt })).rejects.toThrow("not there");
  expect(loads).toBe(2);
});
