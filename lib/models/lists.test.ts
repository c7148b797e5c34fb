// Model lists as servers report them, and the resulting catalogue.
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { parseEnv } from "@/lib/env";
import { buildCatalogue } from "./catalogue";
import { listCompatible } from "./list-compatible";
import { listOllama } from "./list-ollama";
import { ModelList } from "./model-list";
import { parseModelsFile } from "./models-file";
import { providersOf } from "./providers/registry";

type Answers = Record<string, unknown>;

/** Answers listed paths with JSON and others with 404; `asked` records the requests in order. */
async function serving(answers: Answers) {
  const asked: { path: string; headers: IncomingHttpHeaders; body: string }[] = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const piece of request.setEncoding("utf8")) body += piece;
    const path = request.url ?? "";
    asked.push({ path, headers: request.headers, body });
    const answer = answers[body ? `${path} ${JSON.parse(body).model}` : path];
    response.writeHead(answer === undefined ? 404 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(answer ?? { error: "not found" }));
  });
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  onTestFinished(close);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, close };
}

const signal = new AbortController().signal;
const listAt = async (answers: Answers) => {
  const { url, asked } = await serving(answers);
  const models = await listCompatible({ name: "lab", baseURL: `${url}/v1`, apiKey: "k" }, signal);
  return { models: Object.fromEntries(models.map(({ name, abilities }) => [name, abilities])), asked };
};

describe("the list of a server with OpenAI's API", () => {
  it("is requested with the key, and skips invalid entries", async () => {
    const { models, asked } = await listAt({
      "/v1/models": { data: [{ id: "a" }, { name: "no id" }, null, { id: "" }] },
    });
    expect(models).toEqual({ a: {} });
    expect(asked).toMatchObject([{ path: "/v1/models", headers: { authorization: "Bearer k" } }]);
  });

  it.each<[string, object, object]>([
    ["vLLM", { id: "m", object: "model", owned_by: "vllm", max_model_len: 32768 }, { contextTokens: 32768 }],
    [
      "Groq",
      { id: "m", context_window: 131072, max_completion_tokens: 32768 },
      { contextTokens: 131072, maxOutputTokens: 32768 },
    ],
    ["Together", { id: "m", type: "chat", context_length: 8192 }, { contextTokens: 8192 }],
    [
      "Mistral",
      {
        id: "m",
        max_context_length: 40960,
        capabilities: { completion_chat: true, function_calling: true, vision: false },
      },
      { contextTokens: 40960, tools: true, vision: false },
    ],
    [
      "OpenRouter",
      {
        id: "m",
        context_length: 200000,
        architecture: { input_modalities: ["text", "image"], output_modalities: ["text"] },
        top_provider: { context_length: 128000, max_completion_tokens: 8192 },
        supported_parameters: ["tools", "reasoning", "max_tokens"],
        pricing: { prompt: "0.0000003", completion: "0.000015", image: "0" },
      },
      {
        ...{ contextTokens: 128000, maxOutputTokens: 8192, tools: true, vision: true, reasoning: true },
        price: { inputUsd: 0.3, outputUsd: 15 },
      },
    ],
    ["OpenRouter, for a router with variable prices,", { id: "m", pricing: { prompt: "-1", completion: "-1" } }, {}],
    ["an entry with unexpected types", { id: "m", max_model_len: "many", context_length: null, capabilities: 3 }, {}],
  ])("has a model's abilities as %s gives them", async (_, entry, abilities) => {
    const { models } = await listAt({ "/v1/models": { object: "list", data: [entry] } });
    expect(models).toEqual({ m: abilities });
  });

  it.each<[string, object]>([
    ["Together", { id: "m", type: "embedding" }],
    ["Mistral", { id: "m", capabilities: { completion_chat: false } }],
    ["OpenRouter", { id: "m", architecture: { output_modalities: ["image"] } }],
  ])("skips what %s says is not a chat model", async (_, entry) => {
    expect((await listAt({ "/v1/models": { data: [entry, { id: "chat" }] } })).models).toEqual({ chat: {} });
  });

  it("of llama.cpp has the configured context, which may be smaller than the model's", async () => {
    const list = { "/v1/models": { data: [{ id: "m", meta: { n_ctx_train: 131072 } }] } };
    const props = { default_generation_settings: { n_ctx: 8192 }, modalities: { vision: true } };
    expect((await listAt({ ...list, "/props": props })).models).toEqual({ m: { contextTokens: 8192, vision: true } });
    expect((await listAt(list)).models).toEqual({ m: { contextTokens: 131072 } });
  });

  it("of LM Studio comes from its own API, without embedding models", async () => {
    const { models } = await listAt({
      "/v1/models": {
        data: [
          { id: "chat", owned_by: "organization_owner" },
          { id: "e", owned_by: "organization_owner" },
        ],
      },
      "/api/v0/models": {
        data: [
          {
            id: "chat",
            type: "vlm",
            max_context_length: 131072,
            loaded_context_length: 4096,
            capabilities: ["tool_use"],
          },
          { id: "e", type: "embeddings", max_context_length: 2048 },
        ],
      },
    });
    expect(models).toEqual({ chat: { contextTokens: 4096, vision: true, tools: true } });
  });

  it.each<[string, Answers]>([
    ["does not exist", {}],
    ["is not a list", { "/v1/models": { data: "none" } }],
    ["is too large", { "/v1/models": { data: ["x".repeat(9 * 1_048_576)] } }],
  ])("that %s is a failure", async (_, answers) => {
    await expect(listAt(answers)).rejects.toThrow();
  });
});

describe("the list of a provider", () => {
  const listOf = async (provider: string, variable: string, answers: Answers) => {
    const { url, asked } = await serving(answers);
    const env = parseEnv({ [`${variable}_API_KEY`]: "k", [`${variable}_BASE_URL`]: `${url}/v1/` });
    const listed = await providersOf(env, { servers: [] }).get(provider)?.list?.(signal);
    return { listed, headers: asked[0]?.headers };
  };

  it("of Anthropic has names and, where given, limits", async () => {
    const data = [
      { id: "claude-a", max_input_tokens: 200_000, max_tokens: 64_000 },
      { id: "claude-b" },
      { type: "model" },
    ];
    const { listed, headers } = await listOf("anthropic", "ANTHROPIC", { "/v1/models?limit=1000": { data } });
    expect(listed).toEqual([
      { name: "claude-a", abilities: { contextTokens: 200_000, maxOutputTokens: 64_000 } },
      { name: "claude-b", abilities: {} },
    ]);
    expect(headers).toMatchObject({ "x-api-key": "k", "anthropic-version": "2023-06-01" });
  });

  it("of Google has the text models", async () => {
    const models = [
      {
        name: "models/gemini-a",
        inputTokenLimit: 1_048_576,
        outputTokenLimit: 65_536,
        supportedGenerationMethods: ["generateContent", "countTokens"],
        thinking: true,
      },
      { name: "models/embedding-a", supportedGenerationMethods: ["embedContent"] },
    ];
    const answers = { "/v1/models?pageSize=1000": { models } };
    const { listed, headers } = await listOf("google", "GOOGLE_GENERATIVE_AI", answers);
    expect(listed).toEqual([
      { name: "gemini-a", abilities: { contextTokens: 1_048_576, maxOutputTokens: 65_536, reasoning: true } },
    ]);
    expect(headers).toMatchObject({ "x-goog-api-key": "k" });
  });

  it.each([
    ["mistral", "MISTRAL"],
    ["deepseek", "DEEPSEEK"],
    ["groq", "GROQ"],
    ["openrouter", "OPENROUTER"],
  ])("of %s uses OpenAI's API", async (provider, variable) => {
    const { listed, headers } = await listOf(provider, variable, { "/v1/models": { data: [{ id: "m" }] } });
    expect(listed).toEqual([{ name: "m", abilities: {} }]);
    expect(headers).toMatchObject({ authorization: "Bearer k" });
  });

  it("of Groq has no speech or guard models", async () => {
    const data = ["whisper-large-v3", "meta-llama/llama-guard-4-12b", "playai-tts", "m"].map((id) => ({ id }));
    expect((await listOf("groq", "GROQ", { "/v1/models": { data } })).listed).toEqual([{ name: "m", abilities: {} }]);
  });
});

const llama = {
  capabilities: ["completion", "tools"],
  model_info: { "general.architecture": "llama", "llama.context_length": 131072 },
};

describe("the list of Ollama", () => {
  it("has the abilities of each model, and no embedding model", async () => {
    const answers: Answers = {
      "/api/tags": {
        models: [
          { name: "qwen3:8b", digest: "1" },
          { name: "llama3.2:latest", digest: "2" },
          { name: "nomic-embed-text:latest", digest: "3" },
          { name: "small:latest", digest: "4" },
          { name: "unknown:latest" },
        ],
      },
      "/api/ps": { models: [{ name: "qwen3:8b", context_length: 16384 }] },
      "/api/show qwen3:8b": {
        capabilities: ["completion", "tools", "thinking", "vision"],
        model_info: { "general.architecture": "qwen3", "qwen3.context_length": 40960 },
      },
      "/api/show llama3.2:latest": { ...llama, parameters: 'num_ctx                        32768\nstop "<|eot_id|>"' },
      "/api/show nomic-embed-text:latest": { capabilities: ["embedding"], model_info: {} },
      "/api/show small:latest": {
        capabilities: ["completion"],
        model_info: { "general.architecture": "gpt2", "gpt2.context_length": 1024 },
      },
    };
    const { url, asked } = await serving(answers);
    const list = () => listOllama(url, signal);
    const listed = [
      { name: "qwen3:8b", abilities: { tools: true, vision: true, reasoning: true, contextTokens: 16384 } },
      { name: "llama3.2", abilities: { tools: true, vision: false, reasoning: false, contextTokens: 32768 } },
      { name: "small", abilities: { tools: false, vision: false, reasoning: false, contextTokens: 1024 } },
      { name: "unknown", abilities: {} },
    ];
    expect(await list()).toEqual(listed);
    const shows = () => asked.filter(({ path }) => path === "/api/show").length;
    const before = shows();
    // The server has unloaded its model, whose context stays known; only a model without a digest
    // is queried again.
    answers["/api/ps"] = { models: [] };
    expect(await list()).toEqual(listed);
    expect(shows() - before).toBe(1);
  });

  it("does not report the trained context as the configured one", async () => {
    const { url } = await serving({
      "/api/tags": { models: [{ name: "llama3.1:8b", digest: "9" }] },
      "/api/show llama3.1:8b": llama,
    });
    expect(await listOllama(url, signal)).toEqual([
      { name: "llama3.1:8b", abilities: { tools: true, vision: false, reasoning: false } },
    ]);
  });
});

describe("a catalogue with a wildcard", () => {
  const tags = (...names: string[]) => ({ models: names.map((name) => ({ name })) });

  it("replaces it with the listed models, and finds them by name", async () => {
    const { url } = await serving({ "/api/tags": tags("qwen3:8b", "llama3.2:latest"), "/api/show qwen3:8b": llama });
    const catalogue = buildCatalogue(parseEnv({ MODELS: "ollama:*,local", OLLAMA_BASE_URL: url }));
    expect(catalogue.models).toMatchObject([
      { id: "ollama:*", ready: false, reason: "The model server Ollama has not listed its models yet." },
      { id: "local", ready: true },
    ]);
    expect([catalogue.awaitsList, catalogue.has()]).toEqual([true, false]);
    await catalogue.refresh(0);
    expect(catalogue.models.map(({ id, label, ready }) => [id, label, ready])).toEqual([
      ["ollama:qwen3:8b", "qwen3:8b (Ollama)", true],
      ["ollama:llama3.2", "llama3.2 (Ollama)", true],
      ["local", "Local extracts (no language model)", true],
    ]);
    expect([catalogue.awaitsList, catalogue.has(), catalogue.defaultId]).toEqual([false, true, "ollama:qwen3:8b"]);
    expect(catalogue.require("qwen3:8b").abilities.tools).toBe(true);
    // As requested by a page opened earlier.
    expect(catalogue.require("ollama:*").id).toBe("ollama:qwen3:8b");
    expect(catalogue.require("llama3.2").model).toBe(catalogue.require("ollama:llama3.2").model);
    expect(() => catalogue.require("ollama:absent")).toThrow(expect.objectContaining({ code: "bad_request" }));
  });

  it("keeps a configured model's position, with its server's data", async () => {
    const { url } = await serving({ "/api/tags": tags("a:1", "b:1"), "/api/show b:1": llama });
    const catalogue = buildCatalogue(parseEnv({ MODELS: "ollama:b:1,ollama:*", OLLAMA_BASE_URL: url }));
    await catalogue.refresh(0);
    expect(catalogue.models.map(({ id }) => id)).toEqual(["ollama:b:1", "ollama:a:1"]);
    expect(catalogue.require().abilities.tools).toBe(true);
  });

  it("says why there is no list, and still offers configured models", async () => {
    const { url } = await serving({});
    const gone = await serving({});
    await gone.close();
    const variables = { MODELS: "ollama:*,openai:own", OLLAMA_BASE_URL: gone.url, OPENAI_BASE_URL: url };
    const catalogue = buildCatalogue(parseEnv(variables));
    await catalogue.refresh(0);
    expect(catalogue.models).toMatchObject([
      { id: "ollama:*", ready: false, reason: "The model server Ollama is not reachable (ECONNREFUSED)." },
      { id: "openai:own", ready: true },
    ]);
    expect(() => catalogue.require()).toThrow(expect.objectContaining({ code: "unavailable" }));
    expect(catalogue.require("own").id).toBe("openai:own");
  });

  it("refreshes only after the given age, and keeps its models when that fails", async () => {
    const answers: Answers = { "/api/tags": tags("a:1") };
    const { url, asked } = await serving(answers);
    const catalogue = buildCatalogue(parseEnv({ OLLAMA_BASE_URL: url }));
    await catalogue.refresh(60_000);
    await catalogue.refresh(60_000);
    expect(asked.filter(({ path }) => path === "/api/tags")).toHaveLength(1);
    answers["/api/tags"] = undefined;
    await catalogue.refresh(0);
    expect(catalogue.models).toMatchObject([{ id: "ollama:a:1", ready: true }]);
    answers["/api/tags"] = tags("a:1", "new:1");
    await catalogue.refresh(0);
    expect(catalogue.models.map(({ id }) => id)).toEqual(["ollama:a:1", "ollama:new:1"]);
  });
});

it("a list request that hangs times out, and says so", async () => {
  const hangs = (signal: AbortSignal) =>
    new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const list = new ModelList({ server: "The server", list: hangs, onChange: () => {}, withinMs: 20 });
  await list.refresh(0);
  expect([list.models, list.reason]).toEqual([null, "The server took too long to list its models."]);
});

describe("models.json", () => {
  const parse = (value: unknown) => parseModelsFile(JSON.stringify(value), "models.json", ["openai", "local"]);

  it("defines servers, each with its own address, key, headers and models", async () => {
    const { url, asked } = await serving({ "/v1/models?v=2": { data: [{ id: "listed", max_model_len: 4096 }] } });
    process.env.LAB_KEY = "secret-of-the-lab";
    onTestFinished(() => {
      delete process.env.LAB_KEY;
    });
    const file = parse({
      servers: [
        {
          name: "lab",
          title: "Our lab",
          baseUrl: `${url}/v1`,
          apiKeyVariable: "LAB_KEY",
          query: { v: "2" },
          headers: { "x-team": "chat" },
        },
        {
          name: "desk",
          baseUrl: `${url}/v1`,
          models: [{ id: "own", label: "My own", abilities: { contextTokens: 8192 } }, { id: "b" }],
        },
        { name: "closed", baseUrl: `${url}/v1`, apiKeyVariable: "ABSENT_KEY" },
      ],
      abilities: { "lab:listed": { contextTokens: 2048 }, "desk:b": { tools: false } },
    });
    const catalogue = buildCatalogue(parseEnv({}), file);
    await catalogue.refresh(0);
    expect(catalogue.models).toEqual([
      { id: "lab:listed", label: "listed (Our lab)", provider: "lab", ready: true, abilities: { contextTokens: 2048 } },
      { id: "desk:own", label: "My own", provider: "desk", ready: true, abilities: { contextTokens: 8192 } },
      { id: "desk:b", label: "b (desk)", provider: "desk", ready: true, abilities: { tools: false } },
      {
        id: "closed:*",
        label: "closed",
        provider: "closed",
        ready: false,
        reason: "ABSENT_KEY is not set.",
        abilities: {},
      },
    ]);
    expect(asked.find(({ path }) => path === "/v1/models?v=2")?.headers).toMatchObject({
      authorization: "Bearer secret-of-the-lab",
      "x-team": "chat",
    });
    expect([catalogue.paid, catalogue.secrets]).toEqual([true, ["secret-of-the-lab", "chat", "2"]]);
    const chosen = buildCatalogue(parseEnv({ MODELS: "desk:b" }), file);
    expect([chosen.models.map(({ id }) => id), chosen.paid]).toEqual([["desk:b"], false]);
  });

  it.each([
    [{}, false],
    [{ headers: { "x-team": "chat" }, query: { version: "2" } }, false],
    [{ headers: { "api-key": "k" } }, true],
    [{ headers: { Authorization: "Basic k" } }, true],
    [{ query: { key: "k" } }, true],
  ])("with a server with %j is paid: %s", (more, paid) => {
    const file = parse({ servers: [{ name: "lab", baseUrl: "http://localhost:1/v1", ...more }] });
    expect(buildCatalogue(parseEnv({}), file).paid).toBe(paid);
  });

  it("sets abilities for models of any provider", () => {
    const file = parse({
      abilities: { "anthropic:claude-sonnet-5-5": { contextTokens: 200_000, maxOutputTokens: 8_192 } },
    });
    const { models } = buildCatalogue(parseEnv({ ANTHROPIC_API_KEY: "k" }), file);
    expect(models).toMatchObject([{ abilities: { contextTokens: 200_000, maxOutputTokens: 8_192 } }]);
  });

  const server = { name: "lab", baseUrl: "http://localhost:8000/v1" };
  it.each<[string, unknown, string]>([
    ["a provider's name", { servers: [{ ...server, name: "openai" }] }, 'servers[0].name: "openai" is taken'],
    ["a duplicate name", { servers: [server, server] }, 'servers[1].name: "lab" is taken'],
    ["a name with a colon", { servers: [{ ...server, name: "a:b" }] }, "servers[0].name: must be lowercase letters"],
    ["no address", { servers: [{ name: "lab" }] }, "servers[0].baseUrl: must be an address"],
    ["an unknown field", { servers: [{ ...server, apikey: "x" }] }, "servers[0]:"],
    [
      "a key instead of its variable",
      { servers: [{ ...server, apiKeyVariable: "sk-secret" }] },
      "servers[0].apiKeyVariable: must be the name",
    ],
    [
      "headers that are invalid",
      { servers: [{ ...server, headers: { "a b": "c" } }] },
      "servers[0].headers: must contain names",
    ],
    ["an invalid ability", { abilities: { "lab:m": { contextTokens: "8k" } } }, "abilities.lab:m.contextTokens:"],
    ["a list", [], "the file:"],
  ])("with %s is rejected, naming the field", (_, value, sentence) => {
    expect(() => parse(value)).toThrow(sentence);
    expect(() => parse(value)).toThrow(/^models\.json is not valid\. /);
    expect(() => parse(value)).not.toThrow(/sk-secret/);
  });

  it("with invalid JSON is rejected without quoting it", () => {
    expect(() => parseModelsFile('{"servers": sk-secret', "models.json", [])).toThrow(/^models\.json is not JSON\.$/);
  });
});
