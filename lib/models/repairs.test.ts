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

describe("a model without tool support", () => {
  it("answers without tools, and is offered none after two refusals", async () => {
    const model = freshModel();
    for (const prompt of ["first", "second"])
      expect(await ask(prompt, optional, model, noTools, says("Yes."))).toEqual({
        answer: "Yes.",
        offered: [["own"], []],
      });
    expect(await ask("third", optional, model, says("Again."))).toEqual({ answer: "Again.", offered: [[]] });
  });

  it("is offered tools again after one refusal, which may have been one bad call", async () => {
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
  ])("is recognised by other servers' wording: %i %s", async (status, message) => {
    expect(await ask(message, optional, freshModel(), refusing(status, message), says("Yes."))).toEqual({
      answer: "Yes.",
      offered: [["own"], []],
    });
  });

  it.each<[string, Script]>([
    ["opening event", [{ raw: `data: {"error":{"code":400,"message":"no tools for this model"}}\n\n` }]],
    ["JSON", [{ answer: 200, body: { error: { code: 400, message: "this model does not support tools" } } }]],
  ])("is recognised by an error with status 200 in its %s", async (place, script) => {
    const asked = `with status 200, ${place}`;
    expect(await ask(asked, optional, freshModel(), script, says("Yes."))).toEqual({
      answer: "Yes.",
      offered: [["own"], []],
    });
  });

  it("fails for a client that brought its own tools", async () => {
    expect(await ask("theirs", brought, freshModel(), noTools)).toEqual({ answer: null, offered: [["theirs"]] });
  });

  it("gets the client's tools once ours are removed", async () => {
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

it("a retry failing for another reason does not count against the tools", async () => {
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
])("retries without the server's output cap: %s", async (message) => {
  expect(await askCapped(message, cap, refusing(400, message), says("Yes."))).toEqual({
    answer: "Yes.",
    caps: [cap, undefined],
  });
});

it("never drops a cap that the client chose", async () => {
  const outcome = await askCapped("the client's", 3_000, refusing(400, "max_tokens is too large"), says("No."));
  expect(outcome).toEqual({ answer: null, caps: [3_000] });
});

it("also drops the server's cap when it was lowered to fit the context", async () => {
  const call = { prompt: "made to fit", maxOutputTokens: 3_000, providerOptions: { rivulet: { cappedToFit: true } } };
  const outcome = await askWith(call, refusing(400, "max_tokens is too large"), says("Yes."));
  expect(outcome).toEqual({ answer: "Yes.", caps: [3_000, undefined] });
});

it("an error for another reason is not retried", async () => {
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
])("instructions move into the question where the system role is rejected: %i %s", async (status, words) => {
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
])("instructions use the system role where the developer role is rejected: %s", async (words) => {
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

it("a reasoning model on a server other than OpenAI's gets no developer role", async () => {
  provider.on("which role", says("Yes."));
  const variables = { MODELS: "openai:gpt-5-mini", OPENAI_BASE_URL: provider.url };
  const { model } = buildCatalogue(parseEnv(variables)).require();
  await streamText({ model, instructions: "Be kind.", prompt: "which role" }).text;
  const { body } = await provider.request("which role");
  expect(body.messages).toMatchObject([{ role: "system" }, { role: "user" }]);
});

it("a setting that the client asked for is never dropped: the call fails", async () => {
  const words = "Unsupported value: 'temperature' does not support 0.7 with this model.";
  provider.on(words, refusing(400, words), says("Yes."));
  const result = streamText({ model: freshModel(), prompt: words, temperature: 0.7, maxRetries: 0, onError: () => {} });
  await expect(result.text).rejects.toThrow();
  expect(provider.requests.filter((request) => request.prompt === words)).toHaveLength(1);
});

it("sends a cap under the name the server asks for", async () => {
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

it("sends a tool call with an empty text, never null", async () => {
  const model = freshModel();
  provider.on("call it", [{ tool: "own", arguments: ["{}"] }, { finish: "tool_calls" }], says("Yes."));
  const called = { own: tool({ inputSchema, execute: async () => "done" }) };
  const result = streamText({ model, prompt: "call it", tools: called, stopWhen: isStepCount(2) });
  expect(await result.text).toBe("Yes.");
  const { body } = await provider.request("call it", 2);
  expect(body.messages).toMatchObject([{ role: "user" }, { role: "assistant", content: "" }, { role: "tool" }]);
});

it("does not ask for usage where stream_options is rejected", async () => {
  const refusal = refusing(422, "extra fields not permitted: stream_options");
  const [refused, sent] = await bodies("how much", refusal, says("Yes."));
  expect([refused?.stream_options, sent?.stream_options]).toEqual([{ include_usage: true }, undefined]);
  expect(sent).not.toHaveProperty("rivulet_drop");
});

it("drops a rejected field from later calls only after two refusals", async () => {
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

it("repairs several refusals of one call in turn", async () => {
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

it("forgets a remembered refusal after some minutes", async () => {
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
