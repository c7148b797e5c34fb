// Frameworks that speak Chat Completions through clients of their own, unmodified.
import { describe, expect, test } from "vitest";
import { newKey, testCluster } from "@/test/server/cluster";
import { busyGuest, fewTurnsAtATime } from "./busy-guest";
import { load } from "./install";

const cluster = testCluster({ env: fewTurnsAtATime });
const baseURL = () => `${cluster.a.url}/v1`;
const { z } = await load("zod");

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

function scriptWords(): string {
  const key = newKey();
  cluster.provider.on(key, [{ text: "Two" }, { text: " words." }, { finish: "stop" }]);
  return key;
}

/** The status of what it throws. */
async function refusal(work: Promise<unknown>): Promise<number | undefined> {
  const refused = (await work.catch((error: unknown) => error)) as { status?: number };
  return refused.status;
}

describe("@openai/agents", async () => {
  const agents = await load("@openai/agents");
  const { default: OpenAI } = await load("openai");
  agents.setTracingDisabled(true);

  function runner(apiKey = cluster.user.token) {
    const openAIClient = new OpenAI({ apiKey, baseURL: baseURL(), maxRetries: 0 });
    return new agents.Runner({ modelProvider: new agents.OpenAIProvider({ openAIClient, useResponses: false }) });
  }
  const agent = (model = "scripted", tools: unknown[] = []) =>
    new agents.Agent({ name: "Weather", instructions: "Be brief.", model, tools });

  test("runs an agent with a tool to its final output, streaming and not", async () => {
    for (const stream of [false, true]) {
      const asked: string[] = [];
      const temperature = agents.tool({
        name: "temperature",
        description: "The temperature in a city",
        parameters: z.object({ city: z.string() }),
        execute: ({ city }: { city: string }) => {
          asked.push(city);
          return "-4";
        },
      });
      const result = await runner().run(agent("scripted", [temperature]), scriptAnswer(), { stream });
      if (stream) await result.completed;
      expect([result.finalOutput, asked]).toEqual(["It is -4.", ["Oslo"]]);
    }
  });

  test("streams an answer to its end", async () => {
    const result = await runner().run(agent(), scriptWords(), { stream: true });
    let text = "";
    for await (const piece of result.toTextStream()) text += piece;
    await result.completed;
    expect([text, result.finalOutput]).toEqual(["Two words.", "Two words."]);
  });

  test("throws for a wrong key, an unknown model and a limit", async () => {
    expect(await refusal(runner("wrong").run(agent(), "Hello"))).toBe(401);
    expect(await refusal(runner().run(agent("nothing"), "Hello"))).toBe(404);
    expect(await refusal(runner(await busyGuest(cluster)).run(agent(), "Hello"))).toBe(429);
  });
});

describe("LangChain", async () => {
  const { ChatOpenAI } = await load("@langchain/openai");
  const { tool } = await load("@langchain/core/tools");
  const { HumanMessage, ToolMessage } = await load("@langchain/core/messages");
  const model = (name = "scripted", apiKey = cluster.user.token) =>
    new ChatOpenAI({ model: name, apiKey, maxRetries: 0, configuration: { baseURL: baseURL() } });

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
    expect([result instanceof ToolMessage, result.content]).toEqual([true, "Oslo: -4"]);
    expect((await bound.invoke([question, calls, result])).text).toBe("It is -4.");
  });

  test("throws for a wrong key, an unknown model and a limit", async () => {
    expect(await refusal(model("scripted", "wrong").invoke("Hello"))).toBe(401);
    expect(await refusal(model("nothing").invoke("Hello"))).toBe(404);
    expect(await refusal(model("scripted", await busyGuest(cluster)).invoke("Hello"))).toBe(429);
  });
});

describe("LlamaIndex", async () => {
  const { OpenAI } = await load("@llamaindex/openai");
  const { tool } = await load("@llamaindex/core/tools");
  const llm = (model = "scripted", apiKey = cluster.user.token) =>
    new OpenAI({ model, apiKey, baseURL: baseURL(), maxRetries: 0 });
  const messages = (content: string) => [{ role: "user", content }];

  test("streams an answer to its end", async () => {
    let text = "";
    for await (const { delta } of await llm().chat({ messages: messages(scriptWords()), stream: true })) text += delta;
    expect(text).toBe("Two words.");
  });

  test("runs its own tools", async () => {
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
    const { newMessages, toolCalls } = await llm().exec({ messages: messages(scriptAnswer()), tools: [temperature] });
    expect([toolCalls.length, asked, newMessages.length]).toEqual([1, ["Oslo"], 2]);
  });

  test("throws for a wrong key, an unknown model and a limit", async () => {
    const ask = (apiKey?: string, model?: string) => llm(model, apiKey).chat({ messages: messages("Hello") });
    expect(await refusal(ask("wrong"))).toBe(401);
    expect(await refusal(ask(undefined, "nothing"))).toBe(404);
    expect(await refusal(ask(await busyGuest(cluster)))).toBe(429);
  });
});
