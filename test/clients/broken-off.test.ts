// A server that shuts down in the middle of an answer, and the clients that cannot resume: each must report an error, never
// show what it has as the whole answer.
import { beforeAll, expect, test } from "vitest";
import { newKey, testCluster } from "@/test/server/cluster";
import { commands, installCommands } from "./commands";
import { type Asked, httpLibraries } from "./http-libraries";
import { load } from "./install";

beforeAll(installCommands, 600_000);
const cluster = testCluster();
const ai7 = await load("ai");
const ai6 = await load("ai-6");
const { createOpenAI } = await load("@ai-sdk/openai");
const { createOpenAI: createOpenAI3 } = await load("@ai-sdk/openai-3");
const { createOpenAICompatible } = await load("@ai-sdk/openai-compatible");
const { Agent, OpenAIProvider, Runner } = await load("@openai/agents");
const { ChatOpenAI } = await load("@langchain/openai");
const { OpenAI: LlamaOpenAI } = await load("@llamaindex/openai");
const { default: OpenAI } = await load("openai");
const { default: OpenAI6 } = await load("openai-6");

/** The answer as text, as it comes. */
type Stream = (server: { url: string; baseURL: string; apiKey: string }, prompt: string) => AsyncIterable<string>;

function openai(Client: typeof OpenAI): Stream {
  return async function* ({ baseURL, apiKey }, prompt) {
    const client = new Client({ baseURL, apiKey });
    const messages = [{ role: "user", content: prompt }];
    for await (const { choices } of await client.chat.completions.create({ model: "scripted", messages, stream: true }))
      yield choices[0]?.delta.content ?? "";
  };
}

function aiSdk(ai: typeof ai7, model: (server: { baseURL: string; apiKey: string }) => unknown): Stream {
  return async function* (server, prompt) {
    // Errors are parts of the stream.
    for await (const part of ai.streamText({ model: model(server), prompt, onError() {} }).fullStream) {
      if (part.type === "error") throw part.error;
      if (part.type === "text-delta") yield part.text;
    }
  };
}

function responses(Client: typeof OpenAI): Stream {
  return async function* ({ baseURL, apiKey }, input) {
    const client = new Client({ baseURL, apiKey });
    for await (const event of await client.responses.create({ model: "scripted", input, stream: true }))
      if (event.type === "response.output_text.delta") yield event.delta;
  };
}

function agents(useResponses: boolean): Stream {
  return async function* ({ baseURL, apiKey }, prompt) {
    const openAIClient = new OpenAI({ baseURL, apiKey });
    const modelProvider = new OpenAIProvider({ openAIClient, useResponses });
    const runner = new Runner({ modelProvider, tracingDisabled: true });
    const result = await runner.run(new Agent({ name: "A", model: "scripted" }), prompt, { stream: true });
    yield* result.toTextStream();
    await result.completed;
  };
}

function langChain(useResponsesApi: boolean): Stream {
  return async function* ({ baseURL, apiKey }, prompt) {
    const model = new ChatOpenAI({ model: "scripted", apiKey, useResponsesApi, configuration: { baseURL } });
    for await (const { text } of await model.stream(prompt)) yield text;
  };
}

function reader(read: (asked: Asked) => AsyncIterable<string>): Stream {
  return ({ url, apiKey }, message) =>
    read({ url: `${url}/api/v1/chat`, token: apiKey, body: { message, stream: true, search_mode: "none" } });
}

const libraries: Record<string, Stream> = {
  "openai 7": openai(OpenAI),
  "openai 6": openai(OpenAI6),
  "@ai-sdk/openai 4": aiSdk(ai7, (server) => createOpenAI(server).chat("scripted")),
  "@ai-sdk/openai 3": aiSdk(ai6, (server) => createOpenAI3(server).chat("scripted")),
  "@ai-sdk/openai-compatible": aiSdk(ai7, (server) =>
    createOpenAICompatible({ name: "rivulet", ...server })("scripted"),
  ),
  "@openai/agents": agents(false),
  LangChain: langChain(false),
  LlamaIndex: async function* ({ baseURL, apiKey }, content) {
    const llm = new LlamaOpenAI({ model: "scripted", apiKey, baseURL });
    for await (const { delta } of await llm.chat({ messages: [{ role: "user", content }], stream: true })) yield delta;
  },
  "openai 7, Responses": responses(OpenAI),
  "openai 6, Responses": responses(OpenAI6),
  "@ai-sdk/openai 4, Responses": aiSdk(ai7, (server) => createOpenAI(server)("scripted")),
  "@ai-sdk/openai 3, Responses": aiSdk(ai6, (server) => createOpenAI3(server)("scripted")),
  "@openai/agents, Responses": agents(true),
  "LangChain, Responses": langChain(true),
  ...Object.fromEntries(httpLibraries.map(({ name, read }) => [name, reader(read)])),
};

/** Starts them all, shuts the server down when all have shown something, and says how each ended. */
async function endings(streams: Record<string, Stream>): Promise<Record<string, string>> {
  const server = await cluster.start();
  const { token } = await cluster.guest(server);
  const readings = Object.entries(streams).map(([name, stream]) => {
    const key = newKey();
    cluster.provider.on(key, [{ text: "Half" }, { hang: true }]);
    const started = Promise.withResolvers<void>();
    const read = async () => {
      let text = "";
      for await (const piece of stream({ url: server.url, baseURL: `${server.url}/v1`, apiKey: token }, key)) {
        text += piece;
        if (text.includes("Half")) started.resolve();
      }
    };
    const ended = read().then(
      () => "shown as whole",
      (error: unknown) => {
        started.reject(new Error(name, { cause: error }));
        return "reported";
      },
    );
    return { name, started: started.promise, ended };
  });
  await Promise.all(readings.map(({ started }) => started));
  expect(await server.stop()).toBe(0);
  const ended = await Promise.all(readings.map(async ({ name, ended }) => [name, await ended]));
  return Object.fromEntries(ended);
}

const reportedBy = (names: string[]) => Object.fromEntries(names.map((name) => [name, "reported"]));

test("every library reports that an answer broke off", async () => {
  expect(await endings(libraries)).toEqual(reportedBy(Object.keys(libraries)));
});

test("every command reports that an answer broke off", async () => {
  const streams = Object.fromEntries(commands.map(({ name, read }) => [name, reader(read)]));
  expect(await endings(streams)).toEqual(reportedBy(commands.map(({ name }) => name)));
});
