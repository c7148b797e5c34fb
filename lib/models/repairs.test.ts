import { APICallError, isStepCount, streamText, type ToolSet, tool } from "ai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { parseEnv } from "@/lib/env";
import { type Provider, type Script, says, startProvider } from "@/test/provider";
import { buildCatalogue, type ReadyModel } from "./catalogue";
import { repairRequests } from "./repairs";

let provider: Provider;
beforeAll(async () => {
  provider = await startProvider();
});
afterAll(() => provider.close());

const inputSchema = z.object({});
const optional = { own: tool({ inputSchema, providerOptions: { rivulet: { optional: true } } }) };
const brought = { theirs: tool({ inputSchema }) };

/** A model that has not been called yet. */
function freshModel(): ReadyModel["model"] {
  return buildCatalogue(parseEnv({ MODELS: "ollama:m", OLLAMA_BASE_URL: provider.url })).require().model;
}

/** Its answer or failure, and the tool names in each request it accepted. */
async function ask(prompt: string, tools: ToolSet, model = freshModel(), ...scripts: Script[]) {
  provider.on(prompt, ...scripts);
  const before = provider.requests.length;
  const result = streamText({ model, prompt, tools, maxRetries: 0, onError: () => {} });
  const answer = await result.text.then(
    (text) => text,
    () => null,
  );
  const offered = provider.requests
    .slice(before)
    .map(({ body }) => ((body.tools ?? []) as { function: { name: string } }[]).map((each) => each.function.name));
  return { answer, offered };
}

const refusing = (status: number, message: string): Script => [{ answer: status, body: { error: { message } } }];
const noTools = refusing(400, "registry.ollama.ai/library/gemma3:4b does not support tools");

describe("a model that takes no tools", () => {
  it("answers without them, and is offered none once it has refused twice", async () => {
    const model = freshModel();
    for (const prompt of ["first", "second"])
      expect(await ask(prompt, optional, model, noTools, says("Yes."))).toEqual({
        answer: "Yes.",
        offered: [["own"], []],
      });
    expect(await ask("third", optional, model, says("Again."))).toEqual({ answer: "Again.", offered: [[]] });
  });

  it("is offered them again after a single refusal: that may have been one bad call", async () => {
    const model = freshModel();
    await ask(
      "a bad call",
      optional,
      model,
      refusing(500, "the model wrote a tool call that is no JSON"),
      says("Yes."),
    );
    expect(await ask("the next", optional, model, says("Again."))).toEqual({ answer: "Again.", offered: [["own"]] });
  });

  it.each([
    [400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'],
    [500, "tools param requires --jinja flag"],
    [404, "No endpoints found that support tool use."],
    [422, "This model was not trained for function calling"],
    [400, "Tools are not supported in streaming mode."],
    [400, "`tool use` is not enabled for this deployment"],
    [400, "Function call is not supported for this model."],
    [501, "tool_choice is not implemented"],
  ])("is known by what other servers say too: %i %s", async (status, message) => {
    expect(await ask(message, optional, freshModel(), refusing(status, message), says("Yes."))).toEqual({
      answer: "Yes.",
      offered: [["own"], []],
    });
  });

  it.each<[string, Script]>([
    ["opening event", [{ raw: `data: {"error":{"code":400,"message":"no tools for this model"}}\n\n` }]],
    ["JSON", [{ answer: 200, body: { error: { code: 400, message: "this model does not support tools" } } }]],
  ])("is known by what a server says with status 200 in its %s", async (place, script) => {
    const asked = `with status 200, ${place}`;
    expect(await ask(asked, optional, freshModel(), script, says("Yes."))).toEqual({
      answer: "Yes.",
      offered: [["own"], []],
    });
  });

  it("fails for a client that brought its own", async () => {
    expect(await ask("theirs", brought, freshModel(), noTools)).toEqual({ answer: null, offered: [["theirs"]] });
  });

  it("is asked with a client's tools once ours are away", async () => {
    const both = { ...optional, ...brought };
    expect(await ask("both", both, freshModel(), noTools, says("Yes."))).toEqual({
      answer: "Yes.",
      offered: [["own", "theirs"], ["theirs"]],
    });
  });
});

it.each([
  [
    "another reason, which lists the roles",
    refusing(400, "unknown role, expected one of system, user, assistant, tool"),
  ],
  ["a role", refusing(400, "supported roles are system, user, assistant and tool")],
  ["a value", refusing(422, "Input should be 'system', 'user', 'assistant' or 'tool'")],
  ["another reason", refusing(400, "the prompt is too long")],
  ["a wrong key", refusing(401, "no tools for you")],
])("tools stay after a refusal for %s", async (name, script) => {
  const model = freshModel();
  expect(await ask(name, optional, model, script)).toEqual({ answer: null, offered: [["own"]] });
  expect(await ask("afterwards", optional, model, says("Yes."))).toEqual({ answer: "Yes.", offered: [["own"]] });
});

it("what is wrong with the second attempt too is not laid on the tools", async () => {
  const model = freshModel();
  expect(await ask("twice", optional, model, noTools, noTools)).toEqual({ answer: null, offered: [["own"], []] });
  expect(await ask("later", optional, model, says("Yes."))).toEqual({ answer: "Yes.", offered: [["own"]] });
});

const cap = 4_000;

type Settings = {
  prompt: string;
  maxOutputTokens: number;
  providerOptions?: Parameters<typeof streamText>[0]["providerOptions"];
};

/** The answer, or null when the call failed, and the caps in the provider's requests. */
async function askCapped(prompt: string, maxOutputTokens: number, ...scripts: Script[]) {
  return askWith({ prompt, maxOutputTokens }, ...scripts);
}

async function askWith({ prompt, ...settings }: Settings, ...scripts: Script[]) {
  provider.on(prompt, ...scripts);
  const env = parseEnv({ MODELS: "ollama:m", OLLAMA_BASE_URL: provider.url, MAX_OUTPUT_TOKENS: String(cap) });
  const { model } = buildCatalogue(env).require();
  const result = streamText({ model, prompt, ...settings, maxRetries: 0, onError: () => {} });
  const answer = await result.text.then(
    (text) => text,
    () => null,
  );
  const asked = provider.requests.filter((request) => request.prompt === prompt);
  return { answer, caps: asked.map(({ body }) => body.max_tokens) };
}

it.each([
  "max_tokens is too large: 16384. This model supports at most 4096 completion tokens.",
  "'max_tokens' or 'max_completion_tokens' is too large: 16384. This model's maximum context length is 8192 tokens",
  "Unsupported parameter: 'max_output_tokens' is not supported with this model.",
])("asks again without the server's cap: %s", async (message) => {
  expect(await askCapped(message, cap, refusing(400, message), says("Yes."))).toEqual({
    answer: "Yes.",
    caps: [cap, undefined],
  });
});

it("a cap that the client chose is never dropped", async () => {
  const outcome = await askCapped("the client's", 3_000, refusing(400, "max_tokens is too large"), says("No."));
  expect(outcome).toEqual({ answer: null, caps: [3_000] });
});

it("the server's cap is dropped too where it was made smaller to fit the model's context", async () => {
  const call = { prompt: "made to fit", maxOutputTokens: 3_000, providerOptions: { rivulet: { cappedToFit: true } } };
  const outcome = await askWith(call, refusing(400, "max_tokens is too large"), says("Yes."));
  expect(outcome).toEqual({ answer: "Yes.", caps: [3_000, undefined] });
});

it("a refusal for another reason is not repeated", async () => {
  expect(await askCapped("other", cap, refusing(400, "the prompt is empty"), says("No."))).toEqual({
    answer: null,
    caps: [cap],
  });
});

/** The bodies that the provider received for this question. */
async function bodies(prompt: string, ...scripts: Script[]) {
  provider.on(prompt, ...scripts);
  const result = streamText({
    model: freshModel(),
    instructions: "Be kind.",
    prompt,
    maxRetries: 0,
    onError: () => {},
  });
  expect(await result.text).toBe("Yes.");
  return provider.requests.filter((request) => request.prompt.includes(prompt)).map(({ body }) => body);
}

it.each([
  [400, "System role not supported"],
  [400, "Developer instruction is not enabled for models/gemma-3-27b-it"],
  [400, "Only user and assistant roles are supported!"],
  [422, "messages[0]: unexpected role 'system'"],
  [400, "'system' is not one of ['user', 'assistant'] - 'messages.0.role'"],
  [400, "This model does not support system messages"],
  [422, "messages.0.role: Input should be 'user' or 'assistant'"],
])("instructions become the beginning of the question where no system role is taken: %i %s", async (status, words) => {
  const [refused, sent] = await bodies(`kindly, ${words}`, refusing(status, words), says("Yes."));
  expect(refused?.messages).toMatchObject([{ role: "system" }, { role: "user" }]);
  expect(sent?.messages).toMatchObject([{ role: "user" }]);
  expect(JSON.stringify(sent?.messages)).toMatch(/Be kind\..*kindly/);
});

it.each([
  "role developer is none of system, user, assistant, tool",
  "unknown variant `developer`, expected one of `system`, `user`, `assistant`, `tool`: messages[0].role",
  "Unsupported role: 'developer'",
  "developer messages are not supported",
])("instructions are the system's where no developer role is taken: %s", async (words) => {
  provider.on(words, refusing(400, words), says("Yes."));
  const variables = { MODELS: "openai:o3-mini", OPENAI_BASE_URL: provider.url, OPENAI_API: "responses" };
  const { model } = buildCatalogue(parseEnv(variables)).require();
  const result = streamText({ model, instructions: "Be kind.", prompt: words, maxRetries: 0, onError: () => {} });
  expect(await result.text).toBe("Yes.");
  const roles = provider.requests
    .filter((request) => request.prompt === words)
    .map(({ body }) => (body.input as { role: string }[]).map(({ role }) => role));
  expect(roles).toEqual([
    ["developer", "user"],
    ["system", "user"],
  ]);
});

it("a model that reasons is sent no developer role by another server than OpenAI's", async () => {
  provider.on("which role", says("Yes."));
  const variables = { MODELS: "openai:gpt-5-mini", OPENAI_BASE_URL: provider.url };
  const { model } = buildCatalogue(parseEnv(variables)).require();
  await streamText({ model, instructions: "Be kind.", prompt: "which role" }).text;
  const { body } = await provider.request("which role");
  expect(body.messages).toMatchObject([{ role: "system" }, { role: "user" }]);
});

it("a setting that a client asked for is not left out: the call fails", async () => {
  const words = "Unsupported value: 'temperature' does not support 0.7 with this model.";
  provider.on(words, refusing(400, words), says("Yes."));
  const result = streamText({ model: freshModel(), prompt: words, temperature: 0.7, maxRetries: 0, onError: () => {} });
  await expect(result.text).rejects.toThrow();
  expect(provider.requests.filter((request) => request.prompt === words)).toHaveLength(1);
});

it("a cap is sent under the name that is asked for", async () => {
  const words =
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
  provider.on(words, refusing(400, words), says("Yes."));
  const result = streamText({
    model: freshModel(),
    prompt: words,
    maxOutputTokens: 50,
    maxRetries: 0,
    onError: () => {},
  });
  expect(await result.text).toBe("Yes.");
  const caps = provider.requests
    .filter((request) => request.prompt === words)
    .map(({ body }) => [body.max_tokens, body.max_completion_tokens]);
  expect(caps).toEqual([
    [50, undefined],
    [undefined, 50],
  ]);
});

it("a call of tools is sent with an empty text, never with null", async () => {
  const model = freshModel();
  provider.on("call it", [{ tool: "own", arguments: ["{}"] }, { finish: "tool_calls" }], says("Yes."));
  const called = { own: tool({ inputSchema, execute: async () => "done" }) };
  const result = streamText({ model, prompt: "call it", tools: called, stopWhen: isStepCount(2) });
  expect(await result.text).toBe("Yes.");
  const { body } = await provider.request("call it", 2);
  expect(body.messages).toMatchObject([{ role: "user" }, { role: "assistant", content: "" }, { role: "tool" }]);
});

it("usage is not asked for where stream_options is refused", async () => {
  const refusal = refusing(422, "extra fields not permitted: stream_options");
  const [refused, sent] = await bodies("how much", refusal, says("Yes."));
  expect([refused?.stream_options, sent?.stream_options]).toEqual([{ include_usage: true }, undefined]);
  expect(sent).not.toHaveProperty("rivulet_drop");
});

it("what is refused is left out of later calls only after two refusals", async () => {
  const model = freshModel();
  const fields = async (prompt: string, ...scripts: Script[]) => {
    provider.on(prompt, ...scripts);
    await streamText({ model, prompt, maxRetries: 0, onError: () => {} }).text;
    return provider.requests.filter((request) => request.prompt === prompt).map(({ body }) => "stream_options" in body);
  };
  const refusal = refusing(400, "Unrecognized request argument supplied: stream_options");
  expect(await fields("once refused", refusal, says("Yes."))).toEqual([true, false]);
  expect(await fields("asked for again", refusal, says("Yes."))).toEqual([true, false]);
  expect(await fields("not asked for any more", says("Yes."))).toEqual([false]);
});

it("several refusals of one call are repaired one after the other", async () => {
  const sent = await bodies(
    "stacked",
    refusing(400, "stream_options is unknown"),
    refusing(400, "system messages are not supported"),
    says("Yes."),
  );
  expect(sent).toHaveLength(3);
  expect(sent[2]).not.toHaveProperty("stream_options");
  expect(sent[2]?.messages).toMatchObject([{ role: "user" }]);
});

it("a remembered refusal is forgotten after some minutes", async () => {
  let nowMs = 0;
  const offered: number[] = [];
  const middleware = repairRequests({ provider: "x", defaultCap: 1, nowMs: () => nowMs });
  const params = {
    prompt: [],
    tools: [
      { type: "function" as const, name: "own", inputSchema: {}, providerOptions: { rivulet: { optional: true } } },
    ],
  };
  const refusal = new APICallError({ message: "no tools", url: "x", requestBodyValues: {}, statusCode: 400 });
  const model = {
    doStream: async ({ tools = [] }: { tools?: unknown[] }) => {
      offered.push(tools.length);
      if (tools.length > 0) throw refusal;
      return {};
    },
  };
  const call = () => middleware.wrapStream?.({ params, model } as never);
  for (const at of [0, 1_000, 2_000, 700_000]) {
    nowMs = at;
    await call();
  }
  expect(offered).toEqual([1, 0, 1, 0, 0, 1, 0]);
});
