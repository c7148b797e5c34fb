import { isStepCount, type ModelMessage, streamText, tool, toUIMessageChunk } from "ai";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { parseEnv } from "@/lib/env";
import { buildCatalogue } from "@/lib/models/catalogue";
import { startFaultProxy } from "@/test/fault-proxy";
import { type Provider, type Script, type Step, says, startProvider } from "@/test/provider";
import type { TurnChunk } from "./chunks";
import { modelSteps, type Prompt, StepsEnd } from "./steps";

const apis = ["chat", "responses"] as const;
type Api = (typeof apis)[number];

// Two providers number their requests alike, so that their requests can be compared.
let ours: Provider;
let theirs: Provider;
let refusing: Provider;
beforeAll(async () => {
  [ours, theirs, refusing] = await Promise.all([startProvider(), startProvider(), startProvider()]);
});
afterAll(() => Promise.all([ours.close(), theirs.close(), refusing.close()]));

const never = new AbortController().signal;

function modelOf(provider: Provider, api: Api) {
  const variables = { MODELS: "openai:scripted", OPENAI_BASE_URL: provider.url, OPENAI_API: api };
  return buildCatalogue(parseEnv(variables)).require().model;
}

/** Each result contains the number of calls so far. */
function toolbox() {
  let calls = 0;
  const inputSchema = z.object({ city: z.string() });
  return {
    weather: tool({ inputSchema, execute: async ({ city }) => ({ city, call: ++calls, nothing: undefined }) }),
    words: tool({ inputSchema, execute: async ({ city }) => `${city} ${++calls}` }),
    broken: tool({
      inputSchema,
      execute: async (): Promise<string> => {
        throw new Error(`Broken ${++calls}.`);
      },
    }),
    clients: tool({ inputSchema }),
  };
}

type Run = { chunks: TurnChunk[]; end: StepsEnd };

async function run(api: Api, question: string): Promise<Run> {
  const chunks: TurnChunk[] = [];
  const end = new StepsEnd();
  const input = { model: modelOf(ours, api), prompt: asked(question), tools: toolbox(), providerOptions: {} };
  for await (const chunk of modelSteps(input, end, never)) chunks.push(chunk);
  return { chunks, end };
}

/** The same through the SDK's own loop. */
async function reference(api: Api, question: string): Promise<Run> {
  const chunks: TurnChunk[] = [];
  const end = new StepsEnd();
  const tools = toolbox();
  const { stream } = streamText({
    model: modelOf(theirs, api),
    messages: [{ role: "user", content: question }],
    tools,
    stopWhen: isStepCount(10),
    toolCallConcurrency: 1,
    onError: () => {},
  });
  for await (const part of stream) {
    if (part.type === "error") throw part.error;
    if (part.type === "finish") {
      end.finishReason = part.finishReason;
      const { inputTokens = 0, outputTokens = 0 } = part.totalUsage;
      Object.assign(end.usage, { inputTokens, outputTokens, totalTokens: inputTokens + outputTokens });
    }
    const chunk = toUIMessageChunk(part, { tools, sendSources: true, sendStart: false, sendFinish: false });
    if (chunk) chunks.push(chunk as TurnChunk);
  }
  return { chunks, end };
}

function asked(question: string): Prompt {
  return { fit: async (said) => ({ messages: [{ role: "user", content: question }, ...said] }), shrink: () => false };
}

/** Ids are replaced by any other id; the SDK's error sentences are not ours. */
function comparable({ chunks, end }: Run) {
  const names = new Map<string, string>();
  const named = chunks.map((chunk) => {
    if (!/^(text|reasoning)-/.test(chunk.type) || !("id" in chunk)) return chunk;
    const kind = chunk.type.split("-")[0];
    const key = `${kind} ${chunk.id}`;
    if (chunk.type.endsWith("-start")) expect(names.has(key)).toBe(false);
    const id = names.get(key) ?? String(names.size);
    names.set(key, id);
    return { ...chunk, id };
  });
  const shown = named.map((chunk) => ("errorText" in chunk ? { ...chunk, errorText: "" } : chunk));
  return { chunks: shown, end };
}

it("ends between two calls when the answer has used up its token cap", async () => {
  const provider = await startProvider();
  const calls: Step = { finish: "tool_calls", usage: { input: 3, output: 40 } };
  provider.on("a capped loop", [call("weather"), calls], [call("weather"), calls], says("Too much."));
  const end = new StepsEnd();
  const input = {
    model: modelOf(provider, "chat"),
    prompt: asked("a capped loop"),
    tools: toolbox(),
    settings: { maxOutputTokens: 70 },
    providerOptions: {},
  };
  for await (const _ of modelSteps(input, end, never));
  await provider.close();
  expect(end).toMatchObject({ finishReason: "length", usage: { outputTokens: 80 } });
  expect(provider.requests.map(({ body }) => body.max_tokens)).toEqual([70, 70]);
});

describe.each(apis)("a prompt that is refused as too long, over the %s API", (api) => {
  const words = "This model's maximum context length is 8192 tokens.";
  const refusals: Record<string, Script> = {
    "by a status": [{ answer: 400, body: { error: { message: words, code: "context_length_exceeded" } } }],
    "in the stream": [{ error: words, code: "context_length_exceeded" }],
  };

  async function ask(key: string, ...scripts: Script[]) {
    refusing.on(key, ...scripts);
    const shrunk: unknown[] = [];
    const prompt: Prompt = {
      fit: async () => ({
        messages: [{ role: "user", content: `${key}${shrunk.length > 0 ? "" : " and much more"}` }],
      }),
      shrink: (error) => shrunk.push(error) === 1,
    };
    const chunks: TurnChunk[] = [];
    const run = async () => {
      const input = { model: modelOf(refusing, api), prompt, providerOptions: {} };
      for await (const chunk of modelSteps(input, new StepsEnd(), never)) chunks.push(chunk);
    };
    const failure = await run().then(
      () => null,
      (error: unknown) => error,
    );
    const prompts = refusing.requests.filter(({ prompt }) => prompt.includes(key)).map(({ prompt }) => prompt);
    return { failure, prompts, shrunk, names: chunks.map(({ type }) => type) };
  }

  it.each(Object.entries(refusals))("%s is shortened once, within the same step", async (_, refusal) => {
    const key = `${api} refused ${++asks}!`;
    const { failure, prompts, names } = await ask(key, refusal, says("Fits."));
    expect(failure).toBeNull();
    expect(prompts).toEqual([`${key} and much more`, key]);
    expect(names).toEqual(["start-step", "text-start", "text-delta", "text-end", "finish-step"]);
  });

  it.each(Object.entries(refusals))("%s twice fails with the second refusal", async (_, refusal) => {
    const { failure, prompts, shrunk } = await ask(`${api} refused ${++asks}!`, refusal);
    expect(failure).toBe(shrunk[1]);
    expect(prompts).toHaveLength(2);
  });

  it("is not shortened once the model has sent output", async () => {
    const spoken: Script = [{ text: "Once " }, ...(refusals["in the stream"] as Script)];
    const { failure, prompts, shrunk } = await ask(`${api} refused ${++asks}!`, spoken);
    expect({ failed: failure !== null, asked: prompts.length, shrunk }).toEqual({ failed: true, asked: 1, shrunk: [] });
  });
});

let asks = 0;

async function expectTheSame(api: Api, scripts: Script[]): Promise<Run> {
  const question = `question ${++asks}!`;
  for (const provider of [ours, theirs]) provider.on(question, ...scripts);
  const [run_, reference_] = [await run(api, question), await reference(api, question)];
  expect(comparable(run_)).toEqual(comparable(reference_));
  const bodies = (provider: Provider) =>
    provider.requests.filter(({ prompt }) => prompt.includes(question)).map(({ body }) => body);
  expect(bodies(ours)).toEqual(bodies(theirs));
  return run_;
}

const call = (name: string, input: unknown = { city: "Oslo" }): Step => ({
  tool: name,
  arguments: [JSON.stringify(input)],
});
const endsWithCalls: Step = { finish: "tool_calls", usage: { input: 3, output: 4 } };

describe.each(apis)("over the %s API, steps equal those of streamText", (api) => {
  it.each<[string, Script[]]>([
    ["an answer", [says("Cold.", { input: 7, output: 5 })]],
    [
      "reasoning, text, a tool, text",
      [[{ reasoning: "Hm." }, { text: "I look." }, call("weather"), endsWithCalls], says("Cold.")],
    ],
    [
      "tools in sequence, one of them broken",
      [[call("weather"), call("broken"), call("words"), endsWithCalls], says("So.")],
    ],
    ["an unknown tool", [[call("nobody's"), endsWithCalls], says("So.")]],
    ["an invalid input", [[call("weather", { town: 1 }), endsWithCalls], says("So.")]],
    ["an input that is not JSON", [[{ tool: "weather", arguments: ["{nope"] }, endsWithCalls], says("So.")]],
    ["a client's tool ends the turn", [[call("clients"), endsWithCalls], says("Not asked.")]],
    [
      "a client's tool next to one of ours ends it too",
      [[call("clients"), call("weather"), endsWithCalls], says("Not asked.")],
    ],
    ["cut off by its length, its calls are not run", [[call("weather"), { finish: "length" }], says("Not asked.")]],
    ["filtered", [[{ text: "I" }, { finish: "content_filter" }]]],
    ["no finish reason", [[{ text: "I was" }]]],
    [
      "texts in several steps",
      [[{ text: "a" }, call("words"), endsWithCalls], [{ text: "b" }, call("words"), endsWithCalls], says("c")],
    ],
  ])("%s", async (_, scripts) => {
    await expectTheSame(api, scripts);
  });

  it("for a model that calls tools in a loop", async () => {
    const { chunks, end } = await expectTheSame(api, [[call("words"), endsWithCalls]]);
    expect(chunks.filter(({ type }) => type === "start-step")).toHaveLength(10);
    expect(end).toEqual({ finishReason: "tool-calls", usage: { inputTokens: 30, outputTokens: 40, totalTokens: 70 } });
  });

  it("for any model output", async () => {
    const step = fc.oneof<fc.Arbitrary<Step>[]>(
      fc.record({ text: fc.string({ minLength: 1 }) }),
      fc.record({ reasoning: fc.string({ minLength: 1 }) }),
      fc.constantFrom(call("weather"), call("words"), call("broken"), call("nobody's"), call("weather", {})),
    );
    const answer = fc
      .tuple(fc.array(step, { minLength: 1, maxLength: 5 }), fc.constantFrom("stop", "tool_calls", "length" as const))
      // The SDK's loop lets a model repair a call cut off with its answer, up to ten times.
      .filter(([steps, finish]) => finish !== "length" || !steps.some(isWrongCall))
      .map(([steps, finish]): Script => [...steps, { finish }]);
    await fc.assert(
      fc.asyncProperty(fc.array(answer, { maxLength: 3 }), (answers) =>
        expectTheSame(api, [...answers, says("Done.")]).then(() => {}),
      ),
      { numRuns: 50 },
    );
  });
});

it("gives a model its encrypted reasoning back", async () => {
  const { chunks } = await expectTheSame("responses", [
    [{ reasoning: "Hm." }, call("words"), endsWithCalls],
    says("So."),
  ]);
  expect(chunks.some(({ type }) => type === "reasoning-delta")).toBe(true);
  const { body } = await ours.request(`question ${asks}!`, 2);
  expect(body.input).toContainEqual(expect.objectContaining({ type: "reasoning", encrypted_content: "sealed" }));
});

function isWrongCall(step: Step): boolean {
  return "tool" in step && (step.tool === "nobody's" || step.arguments.join("") === "{}");
}

it.each(
  apis.flatMap((api) => [[api, "length", "length"] as const, [api, "content_filter", "content-filter"] as const]),
)("a call cut off with its answer ends the turn without another request: %s, %s", async (api, finish, reason) => {
  const question = `question ${++asks}!`;
  ours.on(question, [{ tool: "words", arguments: ['{"city":"Bo'] }, { finish }], says("Not asked."));
  const end = new StepsEnd();
  const input = { model: modelOf(ours, api), prompt: asked(question), tools: toolbox(), providerOptions: {} };
  for await (const _ of modelSteps(input, end, never));
  expect(end.finishReason).toBe(reason);
  expect(ours.requests.filter((request) => request.prompt === question)).toHaveLength(1);
});

it("calls whose ids restart in each answer get unique ids, in the provider request too", async () => {
  const question = `question ${++asks}!`;
  const delta = { tool_calls: [{ index: 0, id: 0, function: { name: "words", arguments: '{"city":"Bonn"}' } }] };
  const wire = `data: ${JSON.stringify({ choices: [{ delta, finish_reason: "tool_calls" }] })}\n\n`;
  ours.on(question, [{ raw: wire }], [{ raw: wire }], says("So."));
  const before = { toolCallId: "0", toolName: "words" };
  const history: ModelMessage[] = [
    { role: "user", content: "Before." },
    { role: "assistant", content: [{ type: "tool-call", ...before, input: { city: "Ulm" } }] },
    { role: "tool", content: [{ type: "tool-result", ...before, output: { type: "text", value: "Ulm 0" } }] },
    { role: "user", content: question },
  ];
  const prompt: Prompt = { fit: async (said) => ({ messages: [...history, ...said] }), shrink: () => false };
  const chunks: TurnChunk[] = [];
  const input = { model: modelOf(ours, "chat"), prompt, tools: toolbox(), providerOptions: {} };
  for await (const chunk of modelSteps(input, new StepsEnd(), never)) chunks.push(chunk);
  const results = chunks.filter((chunk) => chunk.type === "tool-output-available");
  expect(results.map(({ toolCallId, output }) => [toolCallId, output])).toEqual([
    ["0-2", "Bonn 1"],
    ["0-3", "Bonn 2"],
  ]);
  const { body } = await ours.request(question, 3);
  const ids = (body.messages as { tool_call_id?: string }[]).flatMap(({ tool_call_id: id }) => id ?? []);
  expect(ids).toEqual(["0", "0-2", "0-3"]);
});

it("a background answer whose connection breaks is read again, without repeating what arrived", async () => {
  const provider = await startProvider();
  const proxy = await startFaultProxy(provider.port);
  const question = "a broken connection";
  provider.on(question, [{ text: "One " }, { gate: "rest" }, { text: "two" }, { finish: "stop" }]);
  const variables = { MODELS: "openai:scripted", OPENAI_BASE_URL: `${proxy.url}/v1`, OPENAI_BACKGROUND: "on" };
  const { model } = buildCatalogue(parseEnv({ ...variables, OPENAI_API: "responses" })).require();
  const texts: string[] = [];
  const end = new StepsEnd();
  for await (const chunk of modelSteps({ model, prompt: asked(question), providerOptions: {} }, end, never)) {
    if (chunk.type !== "text-delta") continue;
    texts.push(chunk.delta);
    if (chunk.delta === "One ") {
      proxy.down();
      proxy.up();
      provider.open("rest");
    }
  }
  expect([texts.join(""), end.finishReason]).toEqual(["One two", "stop"]);
  expect(provider.requests).toHaveLength(1);
  expect(provider.resumed).toHaveLength(1);
  await Promise.all([proxy.close(), provider.close()]);
});
