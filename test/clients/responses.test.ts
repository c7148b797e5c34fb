// Clients of OpenAI's Responses, unmodified. It is the one protocol of theirs in which an answer can be resumed.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type FaultProxy, startFaultProxy } from "@/test/fault-proxy";
import { gated, gateOf, newKey, testCluster } from "@/test/server/cluster";
import { busyGuest, fewTurnsAtATime } from "./busy-guest";
import { load } from "./install";

const cluster = testCluster({ env: fewTurnsAtATime });
let proxy: FaultProxy;
beforeAll(async () => {
  proxy = await startFaultProxy(cluster.a.port);
});
afterAll(() => proxy.close());

const baseURL = (url = cluster.a.url) => `${url}/v1`;
const { z } = await load("zod");
const { default: OpenAI } = await load("openai");
const openAIClient = (apiKey = cluster.user.token, url = cluster.a.url) =>
  new OpenAI({ apiKey, baseURL: baseURL(url), maxRetries: 0 });

function scriptWords(): string {
  const key = newKey();
  cluster.provider.on(key, [{ text: "Two" }, { text: " words." }, { finish: "stop", usage: { input: 3, output: 2 } }]);
  return key;
}

/** Asks for the temperature, then says it. */
function scriptAnswer(): string {
  const key = newKey();
  cluster.provider.on(
    key,
    [{ tool: "temperature", arguments: ['{"city":', '"Oslo"}'] }, { finish: "tool_calls" }],
    [{ text: "It is" }, { text: " -4." }, { finish: "stop" }],
  );
  return key;
}

type Event = { type: string; sequence_number: number; delta?: string; response?: { id: string; status: string } };

describe.each([
  ["openai 7, Responses", OpenAI],
  ["openai 6, Responses", (await load("openai-6")).default],
])("%s", (_, Client: typeof OpenAI) => {
  const client = (apiKey = cluster.user.token, url = cluster.a.url) =>
    new Client({ apiKey, baseURL: baseURL(url), maxRetries: 0 });

  test("streams an answer to its end, with usage", async () => {
    const stream = client().responses.stream({ model: "scripted", input: scriptWords() });
    let text = "";
    for await (const event of stream) if (event.type === "response.output_text.delta") text += event.delta;
    const { output, status, usage } = await stream.finalResponse();
    expect([text, status, usage.total_tokens]).toEqual(["Two words.", "completed", 5]);
    expect(output).toMatchObject([{ type: "message", content: [{ text: "Two words." }] }]);
  });

  test("gets a complete answer, and retrieves it by its id", async () => {
    const answer = await client().responses.create({ model: "scripted", input: scriptWords() });
    expect([answer.output_text, answer.status]).toEqual(["Two words.", "completed"]);
    expect((await client().responses.retrieve(answer.id)).output).toEqual(answer.output);
  });

  test("runs its own tools, with the previous response as the conversation", async () => {
    const tools = [
      {
        type: "function",
        name: "temperature",
        strict: true,
        parameters: {
          type: "object",
          properties: { city: { type: "string" } },
          required: ["city"],
          additionalProperties: false,
        },
      },
    ];
    const asks = await client().responses.create({ model: "scripted", input: scriptAnswer(), tools });
    const [call] = asks.output.filter(({ type }: { type: string }) => type === "function_call");
    expect([call.name, JSON.parse(call.arguments)]).toEqual(["temperature", { city: "Oslo" }]);
    const says = await client().responses.create({
      model: "scripted",
      previous_response_id: asks.id,
      input: [{ type: "function_call_output", call_id: call.call_id, output: "-4" }],
      tools,
    });
    expect(says.output_text).toBe("It is -4.");
  });

  test("resumes a background response after the last event received", async () => {
    const key = newKey();
    cluster.provider.on(key, gated(key, ["Two", " words."]));
    const request = { model: "scripted", input: key, background: true, store: true, stream: true };
    const events: Event[] = [];
    const read = async () => {
      for await (const event of await client(undefined, proxy.url).responses.create(request)) {
        events.push(event);
        if (event.type === "response.output_text.delta") proxy.down();
      }
    };
    await expect(read()).rejects.toThrow();
    proxy.up();
    for (const index of [0, 1]) cluster.provider.open(gateOf(key, index));
    const id = events.find(({ type }) => type === "response.created")?.response?.id;
    const after = { stream: true, starting_after: events.at(-1)?.sequence_number };
    for await (const event of await client(undefined, proxy.url).responses.retrieve(id, after)) events.push(event);
    expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, index) => index));
    const deltas = events.filter(({ type }) => type === "response.output_text.delta");
    expect(deltas.map(({ delta }) => delta).join("")).toBe("Two words.");
    expect(events.at(-1)).toMatchObject({ type: "response.completed", response: { id, status: "completed" } });
  });

  test("cancels a background response", async () => {
    const key = newKey();
    cluster.provider.on(key, [{ text: "Half" }, { hang: true }]);
    const { id } = await client().responses.create({ model: "scripted", input: key, background: true });
    const request = await cluster.provider.request(key);
    expect((await client().responses.cancel(id)).status).toBe("cancelled");
    expect(await request.closed).toBe("client");
  });

  test("throws its own class for a wrong key, an unknown model, an unknown response and a limit", async () => {
    const ask = (apiKey?: string, model = "scripted") => client(apiKey).responses.create({ model, input: "Hello" });
    await expect(ask("wrong")).rejects.toThrow(Client.AuthenticationError);
    await expect(ask(undefined, "nothing")).rejects.toThrow(Client.NotFoundError);
    await expect(client().responses.retrieve("resp_nothing")).rejects.toThrow(Client.NotFoundError);
    await expect(ask(await busyGuest(cluster))).rejects.toThrow(Client.RateLimitError);
  });
});

describe.each([
  ["@ai-sdk/openai 4, Responses", await load("ai"), await load("@ai-sdk/openai")],
  ["@ai-sdk/openai 3, Responses", await load("ai-6"), await load("@ai-sdk/openai-3")],
])("%s", (_, ai, { createOpenAI }) => {
  const model = (id = "scripted", apiKey = cluster.user.token) => createOpenAI({ apiKey, baseURL: baseURL() })(id);

  test("streams an answer to its end, with usage", async () => {
    const result = ai.streamText({ model: model(), prompt: scriptWords(), maxRetries: 0 });
    let text = "";
    for await (const delta of result.textStream) text += delta;
    expect([text, await result.finishReason]).toEqual(["Two words.", "stop"]);
    expect((await result.usage).totalTokens).toBe(5);
  });

  test("runs its own tools", async () => {
    const { text, steps } = await ai.generateText({
      model: model(),
      prompt: scriptAnswer(),
      maxRetries: 0,
      stopWhen: ai.stepCountIs(3),
      tools: {
        temperature: ai.tool({
          inputSchema: z.object({ city: z.string() }),
          execute: ({ city }: { city: string }) => `${city}: -4`,
        }),
      },
    });
    expect(text).toBe("It is -4.");
    expect(steps[0].toolResults).toMatchObject([{ input: { city: "Oslo" }, output: "Oslo: -4" }]);
  });

  test("throws its own class for a wrong key, an unknown model and a limit", async () => {
    const ask = (...of: Parameters<typeof model>) =>
      ai.generateText({ model: model(...of), prompt: "Hello", maxRetries: 0 }).catch((error: unknown) => error);
    const refused = [
      await ask("scripted", "wrong"),
      await ask("nothing"),
      await ask("scripted", await busyGuest(cluster)),
    ];
    expect(refused.map((error) => ai.APICallError.isInstance(error))).toEqual([true, true, true]);
    expect(refused.map(({ statusCode }) => statusCode)).toEqual([401, 404, 429]);
  });
});

describe("@openai/agents, Responses", async () => {
  const { Agent, OpenAIProvider, Runner, tool } = await load("@openai/agents");
  const runner = () =>
    new Runner({ modelProvider: new OpenAIProvider({ openAIClient: openAIClient() }), tracingDisabled: true });

  test.each([false, true])("runs an agent with a tool to its final output, streamed: %s", async (stream) => {
    const asked: string[] = [];
    const temperature = tool({
      name: "temperature",
      description: "The temperature in a city",
      parameters: z.object({ city: z.string() }),
      execute: ({ city }: { city: string }) => {
        asked.push(city);
        return "-4";
      },
    });
    const agent = new Agent({ name: "Weather", instructions: "Be brief.", model: "scripted", tools: [temperature] });
    const result = await runner().run(agent, scriptAnswer(), { stream });
    if (stream) await result.completed;
    expect([result.finalOutput, asked]).toEqual(["It is -4.", ["Oslo"]]);
  });
});

describe("LangChain, Responses", async () => {
  const { ChatOpenAI } = await load("@langchain/openai");
  const { tool } = await load("@langchain/core/tools");
  const { HumanMessage } = await load("@langchain/core/messages");
  const model = () =>
    new ChatOpenAI({
      model: "scripted",
      apiKey: cluster.user.token,
      useResponsesApi: true,
      maxRetries: 0,
      configuration: { baseURL: baseURL() },
    });

  test("streams an answer to its end", async () => {
    let text = "";
    for await (const chunk of await model().stream(scriptWords())) text += chunk.text;
    expect(text).toBe("Two words.");
  });

  test("runs its own tools", async () => {
    const temperature = tool(({ city }: { city: string }) => `${city}: -4`, {
      name: "temperature",
      description: "The temperature in a city",
      schema: z.object({ city: z.string() }),
    });
    const bound = model().bindTools([temperature]);
    const question = new HumanMessage(scriptAnswer());
    const calls = await bound.invoke([question]);
    const result = await temperature.invoke(calls.tool_calls[0]);
    expect((await bound.invoke([question, calls, result])).text).toBe("It is -4.");
  });
});
