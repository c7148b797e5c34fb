import { describe, expect, it } from "vitest";
import { parseEnv } from "@/lib/env";
import { buildCatalogue } from "./catalogue";
import { providersOf } from "./providers/registry";

const built = (variables: Record<string, string>) => buildCatalogue(parseEnv(variables));

describe("the models without MODELS", () => {
  it.each([
    [{}, ["local"]],
    [{ OPENAI_API_KEY: "k" }, ["openai:gpt-5-mini"]],
    [{ OLLAMA_BASE_URL: "http://localhost:11434" }, ["ollama:*"]],
    [{ OPENAI_BASE_URL: "http://localhost:8000/v1" }, ["openai:*"]],
    [{ OPENAI_API_KEY: "k", OLLAMA_BASE_URL: "http://localhost:11434" }, ["openai:gpt-5-mini", "ollama:*"]],
    [{ ANTHROPIC_API_KEY: "k" }, ["anthropic:claude-sonnet-5-5"]],
    [{ GOOGLE_GENERATIVE_AI_API_KEY: "k" }, ["google:gemini-3.8-flash"]],
    [{ MISTRAL_API_KEY: "k" }, ["mistral:mistral-medium-latest"]],
    [{ DEEPSEEK_API_KEY: "k" }, ["deepseek:deepseek-v4-flash"]],
    [{ GROQ_API_KEY: "k" }, ["groq:openai/gpt-oss-120b"]],
    [{ XAI_API_KEY: "k" }, ["xai:grok-latest"]],
    [{ OPENROUTER_API_KEY: "k" }, ["openrouter:openrouter/auto"]],
    [{ AZURE_API_KEY: "k", AZURE_RESOURCE_NAME: "ours" }, ["local"]],
    [{ AWS_BEARER_TOKEN_BEDROCK: "k", AWS_REGION: "us-east-1" }, ["local"]],
    [{ XAI_API_KEY: "k", ANTHROPIC_API_KEY: "k" }, ["anthropic:claude-sonnet-5-5", "xai:grok-latest"]],
  ])("%j", (variables, ids) => {
    const { entries } = built(variables);
    expect(entries.map(({ id, ready }) => ({ id, ready }))).toEqual(ids.map((id) => ({ id, ready: true })));
    expect(built(variables).defaultId).toBe(ids[0]);
  });
});

describe("MODELS", () => {
  it("keeps the order, takes the first as default and drops duplicates", () => {
    const catalogue = built({ MODELS: "local, openai:gpt-5-mini,local", OPENAI_API_KEY: "k" });
    expect(catalogue.models.map(({ id }) => id)).toEqual(["local", "openai:gpt-5-mini"]);
    expect(catalogue.defaultId).toBe("local");
    expect(catalogue.models[0]).toEqual({
      id: "local",
      label: "Local extracts (no language model)",
      provider: "local",
      ready: true,
      abilities: { tools: false },
    });
  });

  it("names the missing variable", () => {
    const { models } = built({ MODELS: "openai:gpt-5-mini,ollama:llama3.2" });
    expect(models).toEqual([
      {
        id: "openai:gpt-5-mini",
        label: "gpt-5-mini",
        provider: "openai",
        ready: false,
        reason: "OPENAI_API_KEY is not set.",
        abilities: {},
      },
      {
        id: "ollama:llama3.2",
        label: "llama3.2 (Ollama)",
        provider: "ollama",
        ready: false,
        reason: "OLLAMA_BASE_URL is not set.",
        abilities: {},
      },
    ]);
  });

  it.each([
    ["anthropic:m", {}, "ANTHROPIC_API_KEY is not set."],
    ["google:m", {}, "GOOGLE_GENERATIVE_AI_API_KEY is not set."],
    ["mistral:m", {}, "MISTRAL_API_KEY is not set."],
    ["deepseek:m", {}, "DEEPSEEK_API_KEY is not set."],
    ["groq:m", {}, "GROQ_API_KEY is not set."],
    ["xai:m", {}, "XAI_API_KEY is not set."],
    ["openrouter:m", {}, "OPENROUTER_API_KEY is not set."],
    ["azure:m", {}, "AZURE_API_KEY is not set."],
    ["azure:m", { AZURE_API_KEY: "k" }, "Neither AZURE_RESOURCE_NAME nor AZURE_BASE_URL is set."],
    ["bedrock:m", { AWS_ACCESS_KEY_ID: "k" }, "AWS_BEARER_TOKEN_BEDROCK"],
    ["bedrock:m", { AWS_BEARER_TOKEN_BEDROCK: "k" }, "AWS_REGION is not set."],
    ["xai:*", { XAI_API_KEY: "k" }, "It cannot list its models. Name them in MODELS, as xai:<model>."],
    ["ollama:*", {}, "OLLAMA_BASE_URL is not set."],
  ])("lists %s with %j as not ready: %s", (MODELS, variables, reason) => {
    expect(built({ MODELS, ...variables }).models).toMatchObject([
      { id: MODELS, ready: false, reason: expect.stringContaining(reason) },
    ]);
  });

  it.each(["gpt-5-mini", "nobody:model", "openai:", ":x", "constructor:x"])(
    "lists %j as not ready, with the reason",
    (entry) => {
      const { models } = built({ MODELS: entry, OPENAI_API_KEY: "k" });
      expect(models).toMatchObject([{ id: entry, ready: false, reason: expect.stringContaining("openai:<model>") }]);
    },
  );
});

describe("the OpenAI API used with", () => {
  const providerOf = async (variables: Record<string, string>) =>
    (await providersOf(parseEnv(variables), { servers: [] }).get("openai")?.load("m"))?.provider;

  it.each([
    [{ OPENAI_API_KEY: "k" }, "openai.responses"],
    [{ OPENAI_API_KEY: "k", OPENAI_API: "chat" }, "openai.chat"],
    [{ OPENAI_API_KEY: "k", OPENAI_BASE_URL: "https://eu.api.openai.com/v1" }, "openai.responses"],
    [{ OPENAI_BASE_URL: "http://localhost:9/v1" }, "openai.chat"],
    [{ OPENAI_BASE_URL: "http://localhost:9/v1", OPENAI_API: "responses" }, "openai.responses"],
    [{ OPENAI_BASE_URL: "https://api.openai.com.example.org/v1" }, "openai.chat"],
  ])("%j", async (variables, provider) => {
    expect(await providerOf(variables)).toBe(provider);
  });
});

it.each([
  [{}, false],
  [{ OLLAMA_BASE_URL: "http://localhost:11434" }, false],
  [{ MODELS: "openai:own", OPENAI_BASE_URL: "http://localhost:8000/v1" }, false],
  [{ MODELS: "local", OPENAI_API_KEY: "key" }, false],
  [{ OPENAI_API_KEY: "key" }, true],
  [{ MODELS: "local,openai:own", OPENAI_BASE_URL: "https://llm.example/v1", OPENAI_API_KEY: "key" }, true],
  [{ ANTHROPIC_API_KEY: "key" }, true],
  [{ MODELS: "google:m", GOOGLE_GENERATIVE_AI_API_KEY: "key" }, true],
  [{ MODELS: "mistral:m", MISTRAL_API_KEY: "key" }, true],
  [{ MODELS: "deepseek:m", DEEPSEEK_API_KEY: "key" }, true],
  [{ MODELS: "groq:m", GROQ_API_KEY: "key" }, true],
  [{ MODELS: "xai:m", XAI_API_KEY: "key" }, true],
  [{ MODELS: "openrouter:*", OPENROUTER_API_KEY: "key" }, true],
  [{ MODELS: "azure:m", AZURE_API_KEY: "key", AZURE_RESOURCE_NAME: "ours" }, true],
  [{ MODELS: "bedrock:m", AWS_BEARER_TOKEN_BEDROCK: "key", AWS_REGION: "us-east-1" }, true],
  [{ MODELS: "bedrock:m", AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "key", AWS_REGION: "us-east-1" }, true],
  [{ MODELS: "local", ANTHROPIC_API_KEY: "key" }, false],
  [{ MODELS: "anthropic:m,local" }, false],
])("with %j a model is paid by the operator: %s", (variables, paid) => {
  expect(buildCatalogue(parseEnv(variables)).paid).toBe(paid);
});

describe("require", () => {
  const catalogue = built({
    MODELS: "local,ollama:llama3.2:3b,openai:gpt-5-mini",
    OLLAMA_BASE_URL: "http://localhost:1/v1/",
  });

  it("accepts the default, an id, or the part after the first colon", () => {
    expect(catalogue.require().id).toBe("local");
    expect(catalogue.require("ollama:llama3.2:3b")).toMatchObject({
      provider: "ollama",
      label: "llama3.2:3b (Ollama)",
    });
    expect(catalogue.require("llama3.2:3b").id).toBe("ollama:llama3.2:3b");
  });

  it.each(["mistral", "", "3b", "ollama"])("rejects %j and lists what exists", (name) => {
    expect(() => catalogue.require(name)).toThrow(
      expect.objectContaining({
        code: "bad_request",
        publicMessage: "model: unknown. Available are: local, ollama:llama3.2:3b, openai:gpt-5-mini.",
      }),
    );
  });

  it("says why a model is not ready", () => {
    expect(() => catalogue.require("gpt-5-mini")).toThrow(
      expect.objectContaining({
        code: "unavailable",
        publicMessage: expect.stringContaining("OPENAI_API_KEY is not set"),
      }),
    );
  });
});
