import { describe, expect, it } from "vitest";
import { parseEnv } from "@/lib/env";
import { buildCatalogue } from "./catalogue";

const built = (variables: Record<string, string>) => buildCatalogue(parseEnv(variables));
const listed = (variables: Record<string, string>) => built(variables).models.map(({ id, ready }) => ({ id, ready }));

describe("what is offered without MODELS", () => {
  it.each([
    [{}, ["local"]],
    [{ OPENAI_API_KEY: "k" }, ["openai:gpt-5-mini"]],
    [{ OLLAMA_BASE_URL: "http://localhost:11434" }, ["ollama:llama3.2"]],
    [{ OPENAI_API_KEY: "k", OLLAMA_BASE_URL: "http://localhost:11434" }, ["openai:gpt-5-mini", "ollama:llama3.2"]],
  ])("%j", (variables, ids) => {
    expect(listed(variables)).toEqual(ids.map((id) => ({ id, ready: true })));
    expect(built(variables).defaultId).toBe(ids[0]);
  });
});

describe("MODELS", () => {
  it("keeps the order, the first is the default, repeats count once", () => {
    const catalogue = built({ MODELS: "local, openai:gpt-5-mini,local", OPENAI_API_KEY: "k" });
    expect(catalogue.models.map(({ id }) => id)).toEqual(["local", "openai:gpt-5-mini"]);
    expect(catalogue.defaultId).toBe("local");
    expect(catalogue.models[0]).toEqual({
      id: "local",
      label: "Local extracts (no language model)",
      provider: "local",
      ready: true,
      abilities: {},
    });
  });

  it("says which variable is missing", () => {
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

  it.each(["gpt-5-mini", "nobody:model", "openai:", ":x", "constructor:x"])(
    "lists %j as not ready, with the reason",
    (entry) => {
      const { models } = built({ MODELS: entry, OPENAI_API_KEY: "k" });
      expect(models).toMatchObject([{ id: entry, ready: false, reason: expect.stringContaining("openai:<model>") }]);
    },
  );
});

describe("which API of OpenAI", () => {
  const providerOf = (variables: Record<string, string>) =>
    built({ MODELS: "openai:m", ...variables }).require().model.provider;

  it.each([
    [{ OPENAI_API_KEY: "k" }, "openai.responses"],
    [{ OPENAI_API_KEY: "k", OPENAI_API: "chat" }, "openai.chat"],
    [{ OPENAI_API_KEY: "k", OPENAI_BASE_URL: "https://eu.api.openai.com/v1" }, "openai.responses"],
    [{ OPENAI_BASE_URL: "http://localhost:9/v1" }, "openai.chat"],
    [{ OPENAI_BASE_URL: "http://localhost:9/v1", OPENAI_API: "responses" }, "openai.responses"],
    [{ OPENAI_BASE_URL: "https://api.openai.com.example.org/v1" }, "openai.chat"],
  ])("%j", (variables, provider) => {
    expect(providerOf(variables)).toBe(provider);
  });
});

it.each([
  [{}, false],
  [{ OLLAMA_BASE_URL: "http://localhost:11434" }, false],
  [{ MODELS: "openai:own", OPENAI_BASE_URL: "http://localhost:8000/v1" }, false],
  [{ MODELS: "local", OPENAI_API_KEY: "key" }, false],
  [{ OPENAI_API_KEY: "key" }, true],
  [{ MODELS: "local,openai:own", OPENAI_BASE_URL: "https://llm.example/v1", OPENAI_API_KEY: "key" }, true],
])("with %j a model is billed to the operator: %s", (variables, paid) => {
  expect(buildCatalogue(parseEnv(variables)).paid).toBe(paid);
});

describe("require", () => {
  const catalogue = built({
    MODELS: "local,ollama:llama3.2:3b,openai:gpt-5-mini",
    OLLAMA_BASE_URL: "http://localhost:1/v1/",
  });

  it("takes the default, an id, or the part after the first colon", () => {
    expect(catalogue.require().id).toBe("local");
    expect(catalogue.require("ollama:llama3.2:3b")).toMatchObject({
      provider: "ollama",
      label: "llama3.2:3b (Ollama)",
    });
    expect(catalogue.require("llama3.2:3b").id).toBe("ollama:llama3.2:3b");
  });

  it.each(["mistral", "", "3b", "ollama"])("refuses %j and says what there is", (name) => {
    expect(() => catalogue.require(name)).toThrow(
      expect.objectContaining({
        code: "bad_request",
        publicMessage: "model: not known here. There is: local, ollama:llama3.2:3b, openai:gpt-5-mini.",
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
