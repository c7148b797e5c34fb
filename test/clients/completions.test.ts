// Clients of OpenAI's Chat Completions, unmodified. Streams that break off: broken-off.test.ts.
import { describe, expect, test } from "vitest";
import { newGuest } from "@/test/server";
import { newKey, testCluster } from "@/test/server/cluster";
import { busyGuest, fewTurnsAtATime } from "./busy-guest";
import { load } from "./install";

const cluster = testCluster({ env: fewTurnsAtATime });
const baseURL = () => `${cluster.a.url}/v1`;
const user = (content: string) => ({ role: "user", content });

const temperature = {
  name: "temperature",
  description: "The temperature in a city",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};
/** Asks for the temperature, then says it. */
const askThenSay = [
  [{ tool: "temperature", arguments: ['{"city":', '"Oslo"}'] }, { finish: "tool_calls" as const }],
  [{ text: "It is -4." }, { finish: "stop" as const }],
];
const twoWords = [{ text: "Two" }, { text: " words." }, { finish: "stop" as const, usage: { input: 3, output: 2 } }];

describe.each([
  ["openai 7", await load("openai")],
  ["openai 6", await load("openai-6")],
])("%s", (_, { default: OpenAI }) => {
  const client = (apiKey = cluster.user.token) => new OpenAI({ apiKey, baseURL: baseURL(), maxRetries: 0 });

  test("streams an answer to its end, with usage", async () => {
    const key = newKey();
    cluster.provider.on(key, twoWords);
    const body = { model: "scripted", messages: [user(key)], stream: true, stream_options: { include_usage: true } };
    let text = "";
    const ends: unknown[] = [];
    for await (const { choices, usage } of await client().chat.completions.create(body)) {
      text += choices[0]?.delta.content ?? "";
      if (choices[0]?.finish_reason) ends.push(choices[0].finish_reason);
      if (usage) ends.push(usage.total_tokens);
    }
    expect([text, ends]).toEqual(["Two words.", ["stop", 5]]);
  });

  test("gets a complete answer", async () => {
    const key = newKey();
    cluster.provider.on(key, twoWords);
    const answer = await client().chat.completions.create({ model: "scripted", messages: [user(key)] });
    expect(answer.choices[0]).toMatchObject({ message: { content: "Two words." }, finish_reason: "stop" });
    expect(answer.usage.total_tokens).toBe(5);
  });

  test("runs its own tools", async () => {
    const key = newKey();
    cluster.provider.on(key, ...askThenSay);
    const asked: string[] = [];
    const runner = client().chat.completions.runTools({
      model: "scripted",
      stream: true,
      messages: [user(key)],
      tools: [
        {
          type: "function",
          function: {
            ...temperature,
            parse: JSON.parse,
            function: ({ city }: { city: string }) => {
              asked.push(city);
              return "-4";
            },
          },
        },
      ],
    });
    expect(await runner.finalContent()).toBe("It is -4.");
    expect(asked).toEqual(["Oslo"]);
  });

  test("gets JSON that matches a schema", async () => {
    const key = newKey();
    cluster.provider.on(key, [{ text: '{"city":"Oslo"}' }, { finish: "stop" }]);
    const answer = await client().chat.completions.parse({
      model: "ollama:scripted",
      messages: [user(key)],
      response_format: {
        type: "json_schema",
        json_schema: { name: "place", strict: true, schema: temperature.parameters },
      },
    });
    expect(answer.choices[0].message.parsed).toEqual({ city: "Oslo" });
    const { body } = await cluster.provider.request(key);
    expect(body.response_format).toMatchObject({ json_schema: { schema: temperature.parameters } });
  });

  test("stops the answer when it disconnects", async () => {
    const key = newKey();
    cluster.provider.on(key, [{ text: "Half" }, { hang: true }]);
    const body = { model: "scripted", messages: [user(key)], stream: true };
    // Leaving the loop aborts the request.
    for await (const { choices } of await client().chat.completions.create(body))
      if (choices[0]?.delta.content === "Half") break;
    expect(await (await cluster.provider.request(key)).closed).toBe("client");
  });

  test("throws its own class for an unknown model", async () => {
    const asking = client().chat.completions.create({ model: "nothing", messages: [user("Hello")] });
    const refused = await asking.catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(OpenAI.NotFoundError);
    expect(refused).toMatchObject({ code: "model_not_found" });
  });

  test("throws its own class for a wrong key and for a limit", async () => {
    const ask = (apiKey: string) =>
      client(apiKey)
        .chat.completions.create({ model: "scripted", messages: [user("Hello")] })
        .catch((error: unknown) => error);
    expect(await ask("wrong")).toBeInstanceOf(OpenAI.AuthenticationError);
    expect(await ask(await busyGuest(cluster))).toBeInstanceOf(OpenAI.RateLimitError);
  });
});

const ai7 = await load("ai");
const ai6 = await load("ai-6");
const { z } = await load("zod");

describe.each([
  ["@ai-sdk/openai 4", ai7, await load("@ai-sdk/openai")],
  ["@ai-sdk/openai 3", ai6, await load("@ai-sdk/openai-3")],
  ["@ai-sdk/openai-compatible", ai7, await load("@ai-sdk/openai-compatible")],
])("%s", (_, ai, { createOpenAI, createOpenAICompatible }) => {
  function model(id = "scripted", apiKey = cluster.user.token) {
    if (createOpenAI) return createOpenAI({ apiKey, baseURL: baseURL() }).chat(id);
    return createOpenAICompatible({ name: "rivulet", apiKey, baseURL: baseURL(), includeUsage: true })(id);
  }

  test("streams an answer to its end, with usage", async () => {
    const key = newKey();
    cluster.provider.on(key, twoWords);
    const result = ai.streamText({ model: model(), prompt: key, maxRetries: 0 });
    let text = "";
    for await (const delta of result.textStream) text += delta;
    expect(text).toBe("Two words.");
    expect(await result.finishReason).toBe("stop");
    expect((await result.usage).totalTokens).toBe(5);
  });

  test("gets a complete answer", async () => {
    const key = newKey();
    cluster.provider.on(key, twoWords);
    const { text, finishReason } = await ai.generateText({ model: model(), prompt: key, maxRetries: 0 });
    expect([text, finishReason]).toEqual(["Two words.", "stop"]);
  });

  test("runs its own tools", async () => {
    const key = newKey();
    cluster.provider.on(key, ...askThenSay);
    const { text, steps } = await ai.generateText({
      model: model(),
      prompt: key,
      maxRetries: 0,
      stopWhen: ai.stepCountIs(3),
      tools: {
        temperature: ai.tool({
          description: temperature.description,
          inputSchema: z.object({ city: z.string() }),
          execute: ({ city }: { city: string }) => `${city}: -4`,
        }),
      },
    });
    expect(text).toBe("It is -4.");
    expect(steps[0].toolResults).toMatchObject([{ input: { city: "Oslo" }, output: "Oslo: -4" }]);
  });

  test("adds no tools and no documents to the request", async () => {
    const key = newKey();
    cluster.provider.on(key, twoWords);
    // With the sample documents, which know the answer.
    const { token } = await newGuest(cluster.a.url);
    const prompt = `How do I stop an answer? ${key}`;
    const { text, sources } = await ai.generateText({ model: model("ollama:scripted", token), prompt, maxRetries: 0 });
    expect([text, sources]).toEqual(["Two words.", []]);
    const { body } = await cluster.provider.request(key);
    expect(body).toMatchObject({ messages: [{ role: "user", content: prompt }] });
    expect(body).not.toHaveProperty("tools");
  });

  test("throws its own class for an unknown model", async () => {
    const asking = ai.generateText({ model: model("nothing"), prompt: "Hello", maxRetries: 0 });
    const refused = await asking.catch((error: unknown) => error);
    expect([ai.APICallError.isInstance(refused), refused.statusCode]).toEqual([true, 404]);
  });

  test("throws its own class for a wrong key and for a limit", async () => {
    const ask = (...of: Parameters<typeof model>) =>
      ai.generateText({ model: model(...of), prompt: "Hello", maxRetries: 0 }).catch((error: unknown) => error);
    const refused = [await ask("scripted", "wrong"), await ask("scripted", await busyGuest(cluster))];
    expect(refused.map((error) => ai.APICallError.isInstance(error))).toEqual([true, true]);
    expect(refused.map(({ statusCode }) => statusCode)).toEqual([401, 429]);
  });
});
