// Clients that other people wrote, unmodified, against the real server: the official `openai` package, two EventSources
// through a proxy that cuts the response at every byte, and the AI SDK's own transport.
import { fetchEventSource } from "@microsoft/fetch-event-source";
import { DefaultChatTransport, readUIMessageStream } from "ai";
import { EventSource } from "eventsource";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ChatMessage } from "@/lib/turn/chunks";
import { type FaultProxy, startFaultProxy } from "@/test/fault-proxy";
import { newKey, testCluster, textOf } from "./cluster";

const cluster = testCluster();

function client(options: { apiKey?: string; maxRetries?: number; url?: string } = {}): OpenAI {
  const { apiKey = cluster.user.token, maxRetries = 0, url = cluster.a.url } = options;
  return new OpenAI({ apiKey, maxRetries, baseURL: `${url}/v1` });
}

const user = (content: string) => ({ role: "user" as const, content });

describe("openai", () => {
  test("streams, with usage", async () => {
    const key = newKey();
    cluster.provider.on(key, [{ text: "Hello" }, { text: " there." }, { finish: "length", usage: { input: 3, output: 2 } }]);
    const stream = await client().chat.completions.create({
      model: "scripted",
      messages: [user(key)],
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    const ends: unknown[] = [];
    for await (const chunk of stream) {
      expect(chunk).toMatchObject({ id: expect.stringMatching(/^chatcmpl-/), object: "chat.completion.chunk", model: "scripted" });
      text += chunk.choices[0]?.delta.content ?? "";
      if (chunk.choices[0]?.finish_reason) ends.push(chunk.choices[0].finish_reason);
      if (chunk.usage) ends.push(chunk.usage);
    }
    expect(text).toBe("Hello there.");
    expect(ends).toEqual(["length", { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 }]);
  });

  test("whole; the messages are the prompt as it is, and a chat holds them", async () => {
    const key = newKey();
    cluster.provider.on(key, [{ text: "Four." }, { finish: "stop", usage: { input: 3, output: 2 } }]);
    const { data: answer, response } = await client()
      .chat.completions.create({
        model: "ollama:scripted",
        messages: [
          { role: "system", content: "Be brief." },
          user("One and one?"),
          { role: "assistant", content: "Two." },
          { role: "user", content: [{ type: "text", text: `Twice that? ${key}` }] },
        ],
        temperature: 0.5,
        max_tokens: 77,
      })
      .withResponse();
    expect(answer).toEqual({
      id: expect.stringMatching(/^chatcmpl-/),
      object: "chat.completion",
      created: expect.any(Number),
      model: "ollama:scripted",
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: "Four.", refusal: null, annotations: [] },
          logprobs: null,
          finish_reason: "stop",
        },
      ],
      usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
    });
    const { body } = await cluster.provider.request(key);
    expect(body).toMatchObject({
      temperature: 0.5,
      max_tokens: 77,
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "One and one?" },
        { role: "assistant", content: "Two." },
        { role: "user", content: `Twice that? ${key}` },
      ],
    });
    const stored = await cluster.messages(response.headers.get("x-chat-id") as string);
    expect(stored.map(textOf)).toEqual(["One and one?", "Two.", `Twice that? ${key}`, "Four."]);
  });

  test("metadata.chat_id: the last question is the next turn of that chat", async () => {
    const [first, second] = [newKey(), newKey()];
    cluster.provider.on(first, [{ text: "Hello." }, { finish: "stop" }]);
    cluster.provider.on(second, [{ text: "Again." }, { finish: "stop" }]);
    const sent = await cluster.send(first);
    await sent.ended;
    const chatId = sent.headers["x-chat-id"] as string;
    const answer = await client().chat.completions.create({
      model: "scripted",
      messages: [user("not read"), user(second)],
      metadata: { chat_id: chatId },
    });
    expect(answer.choices[0]?.message.content).toBe("Again.");
    expect((await cluster.messages(chatId)).map(textOf)).toEqual([first, "Hello.", second, "Again."]);
  });

  test.each(["scripted", "ollama:scripted"])("a tool of the client: called, run there, and answered, %s", async (model) => {
    const key = newKey();
    cluster.provider.on(
      key,
      [{ tool: "weather", arguments: ['{"city":', '"Oslo"}'] }, { finish: "tool_calls" }],
      [{ text: "Cold." }, { finish: "stop" }],
    );
    const asked: string[] = [];
    const runner = client().chat.completions.runTools({
      model,
      stream: true,
      messages: [user(key)],
      tools: [
        {
          type: "function",
          function: {
            name: "weather",
            description: "The weather of a city",
            parameters: { type: "object", properties: { city: { type: "string" } } },
            parse: JSON.parse,
            function: ({ city }: { city: string }) => {
              asked.push(city);
              return "-4 degrees";
            },
          },
        },
      ],
    });
    expect(await runner.finalContent()).toBe("Cold.");
    expect(asked).toEqual(["Oslo"]);
    const { body } = await cluster.provider.request(key, 2);
    expect(JSON.stringify(body)).toContain("-4 degrees");
  });

  test("models; errors are the client's own classes", async () => {
    const ids: string[] = [];
    for await (const model of client().models.list()) ids.push(model.id);
    expect(ids).toEqual(["openai:scripted", "ollama:scripted", "local"]);
    const ask = (options: Parameters<typeof client>[0], model = "scripted") =>
      client(options).chat.completions.create({ model, messages: [user("Hi")] });
    await expect(ask({ apiKey: "wrong" })).rejects.toThrow(OpenAI.AuthenticationError);
    await expect(ask({ apiKey: "wrong" })).rejects.toMatchObject({ status: 401, code: "invalid_api_key" });
    await expect(ask({}, "nothing")).rejects.toMatchObject({ status: 400, param: "model", type: "invalid_request_error" });
    const strict = await cluster.start({ env: { RATE_LIMITS: "on" } });
    const guest = await cluster.guest(strict);
    const limited = { apiKey: guest.token, url: strict.url };
    for (let n = 0; n < 60; n++) await ask(limited);
    const refused = await ask(limited).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(OpenAI.RateLimitError);
    expect(refused).toMatchObject({ status: 429, code: "rate_limit_exceeded", type: "requests" });
    await strict.kill("SIGKILL");
  });

  test("a failure, streamed and whole", async () => {
    const key = newKey();
    cluster.provider.on(key, [{ text: "Half" }, { error: "secret detail", code: "server_error" }]);
    const stream = await client().chat.completions.create({ model: "scripted", messages: [user(key)], stream: true });
    const read = async () => {
      for await (const _ of stream);
    };
    await expect(read()).rejects.toMatchObject({ code: "provider_unavailable", type: "server_error" });
    const whole = client().chat.completions.create({ model: "scripted", messages: [user(key)] });
    await expect(whole).rejects.toMatchObject({ status: 502, code: "provider_unavailable" });
  });
});

describe("through a proxy that cuts at every byte", () => {
  const words = "One two 日本 👋.";
  let proxy: FaultProxy;
  let turnId: string;
  let length: number;

  beforeAll(async () => {
    proxy = await startFaultProxy(cluster.a.port);
    const key = newKey();
    cluster.provider.on(key, [{ text: "One" }, { text: " two" }, { text: " 日本" }, { text: " 👋." }, { finish: "stop" }]);
    const sent = await cluster.send(key);
    await sent.ended;
    turnId = sent.headers["x-turn-id"] as string;
    // With its headers, which are cut too.
    length = (await cluster.api("GET", `/api/turns/${turnId}/stream?dialect=token`)).text.length + 700;
  });
  afterAll(() => proxy.close());

  const url = () => `${proxy.url}/api/turns/${turnId}/stream?dialect=token`;
  const headers = () => ({ authorization: `Bearer ${cluster.user.token}` });

  test("eventsource", async () => {
    for (let cut = 1; cut <= length; cut++) {
      proxy.cutAfter(cut);
      let text = "";
      await new Promise<void>((resolve, reject) => {
        const source = new EventSource(url(), {
          fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, ...headers() } }),
        });
        source.onmessage = ({ data }) => {
          const { type, content } = JSON.parse(data);
          text += content ?? "";
          if (type === "end") {
            source.close();
            resolve();
          }
        };
        source.onerror = ({ code }) => {
          proxy.cutAfter(null);
          if (code) reject(new Error(`gave up on ${code} after a cut at ${cut}`));
        };
      });
      expect([cut, text]).toEqual([cut, words]);
    }
  }, 600_000);
});

describe("the AI SDK", () => {
  test("DefaultChatTransport sends and reconnects", async () => {
    const key = newKey();
    cluster.provider.on(key, [{ text: "Half" }, { gate: key }, { text: " and half." }, { finish: "stop" }]);
    const transport = new DefaultChatTransport<ChatMessage>({
      api: `${cluster.a.url}/api/chat`,
      headers: { authorization: `Bearer ${cluster.user.token}` },
    });
    const chatId = `chat-${key}-0001`;
    const message = { id: `message-${key}`, role: "user" as const, parts: [{ type: "text" as const, text: key }] };
    const sent = await transport.sendMessages({
      trigger: "submit-message",
      chatId,
      messageId: undefined,
      messages: [message],
      abortSignal: undefined,
    });
    await cluster.provider.reached(key);
    const again = await transport.reconnectToStream({ chatId });
    if (!again) throw new Error("there is nothing to reconnect to");
    cluster.provider.open(key);
    for (const stream of [sent, again]) {
      let last: ChatMessage | undefined;
      for await (const state of readUIMessageStream<ChatMessage>({ stream })) last = state;
      expect(textOf(last)).toBe("Half and half.");
    }
    expect(await transport.reconnectToStream({ chatId })).toBeNull();
  });
});
