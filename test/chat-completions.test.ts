// Chat Completions through the dialect route with the official `openai` package (docs/protocol.md
// §6.6): request fields reach the provider or are refused by name, the provider's answer comes
// back, and a failure has its status.
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { handleDialect } from "@/app/dialect-handler";
import { registry } from "@/lib/dialects/registry";
import { turnLog } from "@/lib/log/turn-log";
import { ingestDocument } from "@/lib/retrieval/ingest";
import { createGuest, createToken } from "@/lib/services/users/users";
import { testDatabase } from "./database";
import { type Provider, startProvider } from "./provider";

testDatabase();
const pendingWork: Promise<void>[] = [];
const handle = handleDialect(registry, (work) => void pendingWork.push(work));
const user = (content: string) => ({ role: "user" as const, content });
const stop = { finish: "stop" } as const;
let provider: Provider;
let apiKey: string;
let keys = 0;
/** Part of a question; selects the provider's answer. */
const newKey = () => `key-${++keys}.`;

beforeAll(async () => {
  provider = await startProvider();
  Object.assign(process.env, {
    MODELS: "openai:scripted,local",
    OPENAI_BASE_URL: provider.url,
    OPENAI_API: "chat",
    MAX_RUNNING_TURNS: "100",
  });
  const { id } = await createGuest("completions");
  apiKey = (await createToken(id, { name: "completions" })).token;
  const bytes = new TextEncoder().encode("# Stopping\n\nPress Stop to stop an answer.\n");
  await ingestDocument(id, { filename: "stopping.md", bytes });
});
afterAll(async () => {
  await Promise.all(pendingWork);
  await turnLog().close(0);
  await provider.close();
});

function client(): OpenAI {
  const fetch = (url: string | URL | Request, init?: RequestInit) => handle(new Request(url, init));
  return new OpenAI({ apiKey, maxRetries: 0, baseURL: "http://localhost/v1", fetch });
}

function ask(body: Partial<OpenAI.ChatCompletionCreateParamsNonStreaming>, key = newKey()) {
  return client().chat.completions.create({ model: "scripted", messages: [user(key)], ...body });
}

/** The body that the provider received. */
async function sentFor(key: string, body: Partial<OpenAI.ChatCompletionCreateParamsNonStreaming>) {
  provider.on(key, [{ text: "{}" }, stop]);
  await ask(body, key);
  return (await provider.request(key)).body;
}

const schema = { type: "object", properties: { a: { type: "number" } } };
const weather = {
  type: "function" as const,
  function: { name: "weather", parameters: { type: "object", properties: {} } },
};

describe("a client's request reaches the provider", () => {
  test("verbatim, including options the AI SDK does not model", async () => {
    const asked = {
      user: "bob",
      logit_bias: { "5": -100 },
      logprobs: true,
      top_logprobs: 2,
      parallel_tool_calls: false,
      reasoning_effort: "low" as const,
      verbosity: "low" as const,
      service_tier: "flex" as const,
      store: false,
      modalities: ["text" as const],
      prompt_cache_key: "k",
      safety_identifier: "s",
      metadata: { trace: "t" },
      temperature: 0.25,
      top_p: 0.5,
      seed: 7,
      stop: ["END"],
      presence_penalty: 0.5,
      frequency_penalty: 0.25,
      response_format: { type: "json_schema" as const, json_schema: { name: "x", schema, strict: true } },
      tools: [{ ...weather, function: { ...weather.function, strict: true } }],
      tool_choice: "none" as const,
    };
    expect(await sentFor(newKey(), asked)).toMatchObject(asked);
  });

  test("as json_object and legacy functions", async () => {
    const asked = {
      response_format: { type: "json_object" as const },
      functions: [{ name: "f", parameters: {} }],
      function_call: "auto" as const,
    };
    expect(await sentFor(newKey(), asked)).toMatchObject(asked);
  });

  test("as messages: mid-conversation instructions, names, images, several texts, calls with invalid JSON", async () => {
    const key = newKey();
    const image = { url: "data:image/png;base64,iVBORw0KGgo=", detail: "low" as const };
    const call = { id: "c1", type: "function" as const, function: { name: "weather", arguments: '{"city":' } };
    const messages: OpenAI.ChatCompletionMessageParam[] = [
      { role: "system", content: "SYS" },
      { role: "user", name: "ann", content: "One" },
      { role: "assistant", content: null, tool_calls: [call] },
      { role: "tool", tool_call_id: "c1", content: "bad JSON" },
      { role: "assistant", name: "bot", content: "Two" },
      { role: "system", content: "MIDDLE" },
      {
        role: "user",
        content: [
          { type: "text", text: key },
          { type: "text", text: "more" },
          { type: "image_url", image_url: image },
        ],
      },
    ];
    const { messages: sent } = await sentFor(key, { messages });
    expect(sent).toEqual([messages[0], messages[1], { ...messages[2], content: "" }, ...messages.slice(3)]);
  });

  test("with nothing added: no passage, no tool", async () => {
    const key = newKey();
    const body = await sentFor(key, {
      messages: [{ role: "system", content: "SYS" }, user(`How do I stop an answer? ${key}`)],
    });
    expect(body).toMatchObject({ messages: [{ content: "SYS" }, { role: "user" }] });
    expect(body).not.toHaveProperty("tools");
    expect(JSON.stringify(body)).not.toContain("passage");
  });

  test.each<[string, object, string?]>([
    ["unknown_field", { unknown_field: 1 }],
    ["n", { n: 2 }],
    ["audio", { audio: { voice: "alloy", format: "mp3" } }],
    ["modalities", { modalities: ["text", "audio"] }],
    ["tools.0.type", { tools: [{ type: "custom", custom: { name: "x" } }] }],
    ["messages.0.mood", { messages: [{ role: "user", content: "Hi", mood: "good" }] }],
    [
      "messages.0.tool_calls",
      {
        messages: [
          { role: "assistant", tool_calls: [{ id: "c", function: { name: "f", arguments: "{}" } }] },
          user("Hi"),
        ],
      },
    ],
    ["tools", { tools: [weather], metadata: { chat_id: 1 } }],
    ["response_format", { response_format: { type: "json_object" } }, "local"],
    ["reasoning_effort", { reasoning_effort: "low" }, "local"],
    ["stop", { stop: "x" }, "local"],
  ])("or is refused by name: %s", async (param, body, model = "scripted") => {
    const refused = await ask({ model, ...body }).catch((error: unknown) => error);
    expect(refused).toMatchObject({ status: 400, param, type: "invalid_request_error" });
  });
});

describe("the provider's response reaches the client", () => {
  test("as reasoning, cached and reasoning token counts, log probabilities", async () => {
    const key = newKey();
    const token = { token: "Hi", logprob: -0.1, bytes: [72, 105], top_logprobs: [] };
    const frames = [
      { choices: [{ index: 0, delta: { role: "assistant", reasoning_content: "Hm." } }] },
      { choices: [{ index: 0, delta: { content: "Hi" }, logprobs: { content: [token] } }] },
      { choices: [{ index: 0, delta: {}, finish_reason: "stop" }] },
      {
        choices: [],
        usage: {
          prompt_tokens: 9,
          completion_tokens: 5,
          total_tokens: 14,
          prompt_tokens_details: { cached_tokens: 8 },
          completion_tokens_details: { reasoning_tokens: 3 },
        },
      },
    ];
    const raw = `${frames.map((each) => `data: ${JSON.stringify(each)}\n\n`).join("")}data: [DONE]\n\n`;
    provider.on(key, [{ raw }]);
    const usage = {
      prompt_tokens: 9,
      completion_tokens: 5,
      total_tokens: 14,
      prompt_tokens_details: { cached_tokens: 8 },
      completion_tokens_details: { reasoning_tokens: 3 },
    };
    const whole = await ask({ logprobs: true }, key);
    expect(whole.usage).toEqual(usage);
    expect(whole.choices[0]).toMatchObject({
      message: { content: "Hi", reasoning_content: "Hm." },
      logprobs: { content: [token] },
    });
    const streamed = client().chat.completions.stream({
      model: "scripted",
      messages: [user(key)],
      logprobs: true,
      stream_options: { include_usage: true },
    });
    const final = await streamed.finalChatCompletion();
    expect(final.usage).toEqual(usage);
    expect(final.choices[0]).toMatchObject({ message: { content: "Hi" }, logprobs: { content: [token] } });
  });

  test("with the client's tool call verbatim and once, even with invalid JSON or an unknown tool", async () => {
    for (const [name, written] of [
      ["weather", '{"city":'],
      ["nonsense", '{"a":1}'],
    ] as const) {
      const key = newKey();
      provider.on(key, [{ tool: name, arguments: [written] }, { finish: "tool_calls" }]);
      const { choices } = await ask({ tools: [weather] }, key);
      expect(choices[0]).toMatchObject({
        finish_reason: "tool_calls",
        message: { content: null, tool_calls: [{ function: { name, arguments: written } }] },
      });
      expect(provider.requests.filter(({ prompt }) => prompt.includes(key))).toHaveLength(1);
    }
  });

  test("without invented calls when the client brought no tools", async () => {
    const key = newKey();
    provider.on(
      key,
      [{ tool: "add_task", arguments: ['{"title":"x"}'] }, { finish: "tool_calls" }],
      [{ text: "No." }, stop],
    );
    const { choices } = await ask({}, key);
    expect(choices[0]).toMatchObject({ finish_reason: "stop", message: { content: "No." } });
    expect(choices[0]?.message).not.toHaveProperty("tool_calls");
  });

  test("without error when the model ignores the tool choice", async () => {
    const key = newKey();
    provider.on(key, [{ text: "No." }, stop]);
    const { choices } = await ask({ tools: [weather], tool_choice: "required" }, key);
    expect(choices[0]).toMatchObject({ finish_reason: "stop", message: { content: "No." } });
    expect((await provider.request(key)).body).toMatchObject({ tool_choice: "required" });
  });

  test("as a legacy function call", async () => {
    const key = newKey();
    provider.on(key, [{ tool: "f", arguments: ["{}"] }, { finish: "tool_calls" }]);
    const { choices } = await ask({ functions: [{ name: "f", parameters: {} }] }, key);
    expect(choices[0]).toMatchObject({
      finish_reason: "function_call",
      message: { function_call: { name: "f", arguments: "{}" } },
    });
  });

  test("with requested sources as url_citation", async () => {
    const key = newKey();
    provider.on(key, [{ text: "Press Stop [1]." }, stop]);
    const body = { messages: [user(`How do I stop an answer? ${key}`)], search_mode: "all" };
    const { choices } = await ask(body, key);
    const { annotations } = choices[0]?.message ?? {};
    expect(annotations).toEqual([
      {
        type: "url_citation",
        url_citation: {
          url: expect.stringMatching(/^\/api\/documents\/[0-9a-f-]{36}$/),
          title: expect.any(String),
          start_index: 11,
          end_index: 14,
        },
      },
    ]);
    const stream = await client().chat.completions.create({ model: "scripted", stream: true, ...body });
    const streamed: unknown[] = [];
    for await (const { choices } of stream)
      streamed.push(...((choices[0]?.delta as typeof choices & { annotations?: [] })?.annotations ?? []));
    expect(streamed).toEqual(annotations);
  });
});

describe("a failure has its status, even when a stream was requested", () => {
  test.each([
    [400, { message: "Unsupported parameter: 'temperature'", param: "temperature" }, 400, { param: "temperature" }],
    [401, { message: "no", code: "invalid_api_key" }, 401, { code: "provider_auth" }],
    [404, { message: "The model does not exist", code: "model_not_found" }, 404, { code: "model_not_found" }],
    [429, { message: "slow down" }, 429, { code: "provider_rate_limited" }],
    [500, { message: "down" }, 502, { code: "provider_unavailable" }],
  ])("as the provider's %i", async (answer, error, status, facts) => {
    const key = newKey();
    provider.on(key, [{ answer, body: { error }, headers: { "retry-after": "7" } }]);
    for (const stream of [false, true]) {
      const refused = await client()
        .chat.completions.create({ model: "scripted", messages: [user(key)], stream })
        .catch((thrown: unknown) => thrown);
      expect(refused).toBeInstanceOf(OpenAI.APIError);
      expect(refused).toMatchObject({ status, ...facts });
      if (status === 429)
        expect((refused as InstanceType<typeof OpenAI.APIError>).headers?.get("retry-after")).toBe("7");
    }
    // The client retries by itself.
    expect(provider.requests.filter(({ prompt }) => prompt.includes(key))).toHaveLength(2);
  });

  test("in a chat with a non-ASCII id", async () => {
    const key = newKey();
    provider.on(key, [{ answer: 401, body: { error: { message: "no", code: "invalid_api_key" } } }]);
    const refused = client().chat.completions.create({
      model: "scripted",
      messages: [user(key)],
      stream: true,
      metadata: { chat_id: `市-${key}` },
    });
    await expect(refused).rejects.toMatchObject({ status: 401, code: "provider_auth" });
  });

  test("below /v1 nothing answers in another shape", async () => {
    const answer = await handle(new Request("http://localhost/v1/nothing", { method: "POST", body: "{}" }));
    expect(answer.status).toBe(404);
    expect(await answer.json()).toEqual({
      error: { message: expect.any(String), type: "invalid_request_error", param: null, code: "unknown_url" },
    });
  });
});

test("finds a model by its id, even with a colon, and rejects an unknown one", async () => {
  expect(await client().models.retrieve("openai:scripted")).toEqual({
    id: "openai:scripted",
    object: "model",
    created: 0,
    owned_by: "openai",
  });
  expect(await client().models.retrieve("scripted")).toMatchObject({ id: "openai:scripted" });
  await expect(client().models.retrieve("no/such/model")).rejects.toMatchObject({
    status: 404,
    code: "model_not_found",
  });
});

describe("completions", () => {
  const completion = {
    model: "scripted",
    prompt: "def fim(",
    suffix: "return 1",
    max_tokens: 9,
    temperature: 0,
    user: "u",
  };

  test("continue the text verbatim, before the suffix", async () => {
    const whole = await client().completions.create(completion);
    const { model: _, ...asked } = completion;
    expect(JSON.parse(whole.choices[0]?.text ?? "")).toEqual({ ...asked, stream: true });
    expect(whole).toMatchObject({
      object: "text_completion",
      model: "scripted",
      choices: [{ index: 0, logprobs: null, finish_reason: "length" }],
      usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
    });
    const stream = await client().completions.create({ ...completion, stream: true });
    let text = "";
    for await (const { choices } of stream) text += choices[0]?.text ?? "";
    expect(text).toBe(whole.choices[0]?.text);
  });

  test("fall back to chat on a server without them, except with a suffix", async () => {
    const key = newKey();
    provider.on(key, [{ text: "Four." }, stop]);
    const whole = await client().completions.create({ model: "scripted", prompt: key });
    expect(whole.choices[0]).toMatchObject({ text: "Four.", finish_reason: "stop" });
    const refused = client().completions.create({ model: "scripted", prompt: key, suffix: "." });
    await expect(refused).rejects.toMatchObject({ status: 400, param: "suffix" });
    const local = client().completions.create({ model: "local", prompt: key, suffix: "." });
    await expect(local).rejects.toMatchObject({ status: 400, param: "suffix" });
  });

  test.each([
    ["prompt", { prompt: ["a", "b"] }],
    ["n", { n: 2 }],
    ["echo", { echo: true }],
    ["logprobs", { logprobs: 1 }],
    ["mystery", { mystery: 1 }],
  ])("are refused by name: %s", async (param, body) => {
    const refused = client().completions.create({ model: "scripted", prompt: "x", ...body });
    await expect(refused).rejects.toMatchObject({ status: 400, param });
  });
});

test("embeds one or several texts, in the requested encoding", async () => {
  const whole = await client().embeddings.create({ model: "scripted", input: ["One", "Three"] });
  expect(whole).toMatchObject({
    object: "list",
    model: "scripted",
    data: [
      { index: 0, embedding: [3, 0.5] },
      { index: 1, embedding: [5, 0.5] },
    ],
    usage: { prompt_tokens: 3, total_tokens: 3 },
  });
  const one = await client().embeddings.create({ model: "scripted", input: "One", encoding_format: "float" });
  expect(one.data).toEqual([{ object: "embedding", index: 0, embedding: [3, 0.5] }]);
  const ask = (body: object) => client().embeddings.create({ model: "scripted", input: "One", ...body });
  await expect(ask({ model: "nothing" })).rejects.toMatchObject({ status: 404, code: "model_not_found" });
  await expect(ask({ model: "local" })).rejects.toMatchObject({ status: 404 });
  await expect(ask({ input: [[1, 2]] })).rejects.toMatchObject({ status: 400, param: "input" });
  await expect(ask({ input: Array(2_049).fill("a") })).rejects.toMatchObject({ status: 400, param: "input" });
  await expect(ask({ input: "a".repeat(1_000_001) })).rejects.toMatchObject({ status: 413 });
});

describe("a disconnect", () => {
  test.each([true, false])("cancels a call that cannot be resumed; stream: %s", async (stream) => {
    const key = newKey();
    provider.on(key, [...(stream ? [{ text: "One" }] : []), { gate: key }]);
    const leaving = new AbortController();
    const asked = client().chat.completions.create(
      { model: "scripted", messages: [user(key)], stream },
      { signal: leaving.signal },
    );
    const left = asked.catch((error: unknown) => error);
    await provider.reached(key);
    if (stream) await asked;
    leaving.abort();
    await left;
    expect(await (await provider.request(key)).closed).toBe("client");
  });

  test.each([
    { headers: true, body: {} },
    { headers: false, body: { store: true } },
  ])("keeps a call with a key or a stored one running: %o", async ({ headers, body }) => {
    const key = newKey();
    provider.on(key, [{ text: "One" }, { gate: key }, { text: " two." }, stop]);
    const leaving = new AbortController();
    const stream = await client().chat.completions.create(
      { model: "scripted", messages: [user(key)], stream: true, ...body },
      { signal: leaving.signal, ...(headers && { headers: { "Idempotency-Key": key } }) },
    );
    await provider.reached(key);
    leaving.abort();
    for await (const _ of stream);
    provider.open(key);
    expect(await (await provider.request(key)).closed).toBe("server");
  });
});
