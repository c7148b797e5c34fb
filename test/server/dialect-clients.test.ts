// Third-party clients, unmodified, against the real server: the official `openai` package, two
// EventSources through a proxy that cuts the response at every byte, and the AI SDK's own
// transport.
import { fetchEventSource } from "@microsoft/fetch-event-source";
import { DefaultChatTransport, readUIMessageStream } from "ai";
import { EventSource } from "eventsource";
import OpenAI from "openai";
import { beforeAll, describe, expect, test, vi } from "vitest";
import type { ChatMessage } from "@/lib/turn/chunks";
import { type FaultProxy, startFaultProxy } from "@/test/fault-proxy";
import { blocksOf, newKey, testCluster, textOf } from "./cluster";

const cluster = testCluster();

function client(options: { apiKey?: string; maxRetries?: number; url?: string } = {}): OpenAI {
  const { apiKey = cluster.user.token, maxRetries = 0, url = cluster.a.url } = options;
  return new OpenAI({ apiKey, maxRetries, baseURL: `${url}/v1` });
}

const user = (content: string) => ({ role: "user" as const, content });
const assistant = (content: string) => ({ role: "assistant" as const, content });

describe("openai", () => {
  test("streams, with usage", async () => {
    const key = newKey();
    cluster.provider.on(key, [
      { text: "Hello" },
      { text: " there." },
      { finish: "length", usage: { input: 3, output: 2 } },
    ]);
    const stream = await client().chat.completions.create({
      model: "scripted",
      messages: [user(key)],
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    const ends: unknown[] = [];
    for await (const chunk of stream) {
      expect(chunk).toMatchObject({
        id: expect.stringMatching(/^chatcmpl-/),
        object: "chat.completion.chunk",
        model: "scripted",
      });
      text += chunk.choices[0]?.delta.content ?? "";
      if (chunk.choices[0]?.finish_reason) ends.push(chunk.choices[0].finish_reason);
      if (chunk.usage) ends.push(chunk.usage);
    }
    expect(text).toBe("Hello there.");
    expect(ends).toEqual(["length", { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 }]);
  });

  test("answers in one piece; the messages are the prompt verbatim and are stored in a chat", async () => {
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

  test("metadata.chat_id: the last question becomes the next turn of that chat", async () => {
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

  test("metadata.chat_id: a client that sends its history can edit and branch", async () => {
    const [first, second, edited] = [newKey(), newKey(), newKey()];
    cluster.provider.on(first, [{ text: "Hello." }, { finish: "stop" }]);
    const sent = await cluster.send(first);
    await sent.ended;
    const chatId = sent.headers["x-chat-id"] as string;
    const history = [{ role: "system" as const, content: "Be brief." }, user(first), assistant("Hello.")];
    for (const question of [second, edited]) {
      const messages = [...history, user(question)];
      await client().chat.completions.create({ model: "scripted", messages, metadata: { chat_id: chatId } });
      expect((await cluster.messages(chatId)).map(textOf)).toEqual([first, "Hello.", question, "Hello there."]);
    }
    expect(JSON.stringify((await cluster.provider.request(edited)).body)).not.toContain(second);
  });

  test.each(["scripted", "ollama:scripted"])(
    "a client tool is called and run by the client, then answered, %s",
    async (model) => {
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
    },
  );

  test("lists models; errors are the client's own classes", async () => {
    const ids: string[] = [];
    for await (const model of client().models.list()) ids.push(model.id);
    expect(ids).toEqual(["openai:scripted", "ollama:scripted", "local"]);
    const ask = (options: Parameters<typeof client>[0], model = "scripted") =>
      client(options).chat.completions.create({ model, messages: [user("Hi")] });
    await expect(ask({ apiKey: "wrong" })).rejects.toThrow(OpenAI.AuthenticationError);
    await expect(ask({ apiKey: "wrong" })).rejects.toMatchObject({ status: 401, code: "invalid_api_key" });
    await expect(ask({}, "nothing")).rejects.toMatchObject({
      status: 404,
      code: "model_not_found",
      param: "model",
      type: "invalid_request_error",
    });
    const strict = await cluster.start({ env: { RATE_LIMITS: "on" } });
    const guest = await cluster.guest(strict);
    const limited = { apiKey: guest.token, url: strict.url };
    for (let n = 0; n < 60; n++) await ask(limited);
    const refused = await ask(limited).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(OpenAI.RateLimitError);
    expect(refused).toMatchObject({ status: 429, code: "rate_limit_exceeded", type: "requests" });
    await strict.kill("SIGKILL");
  });

  test("reports a failure, streamed and in one piece", async () => {
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

describe("I3: resumes through a proxy that cuts at every byte", () => {
  const words = "One two 日本 👋.";
  const path = "/sessions/1/messages/stream";
  let request: { method: string; headers: Record<string, string>; body: string };
  let cursor: string;
  /** The tokens as sent. */
  let tokens: string[];
  let length: number;

  beforeAll(async () => {
    const key = newKey();
    cluster.provider.on(key, [
      { text: "One" },
      { text: " two" },
      { text: " 日本" },
      { text: " 👋." },
      { finish: "stop" },
    ]);
    await cluster.api("POST", "/chat/1/stream", { body: { question: newKey() } });
    request = {
      method: "POST",
      headers: {
        authorization: `Bearer ${cluster.user.token}`,
        "content-type": "application/json",
        "idempotency-key": key,
      },
      body: JSON.stringify({ content: key, role: "user" }),
    };
    const answer = await fetch(cluster.a.url + path, request);
    const turnId = answer.headers.get("x-turn-id");
    cursor = `${turnId}.1`;
    const raw = await answer.text();
    const bytes = Buffer.byteLength(raw);
    tokens = blocksOf(raw).flatMap((block) => contentOf(/^data: (.*)$/m.exec(block)?.[1] ?? "").content ?? []);
    // Cuts also hit the status line, headers and chunk framing.
    length = bytes + 900;
  });

  /**
   * Each cut has its own proxy and client. Nearly all of the time is the one-second reconnect
   * delay, so many run at once.
   */
  async function atEveryByte(read: (url: string, uncut: () => void) => Promise<string>): Promise<string[]> {
    const texts: Record<number, string> = {};
    let next = 1;
    const worker = async () => {
      for (let cut = next++; cut <= length; cut = next++) {
        const proxy: FaultProxy = await startFaultProxy(cluster.a.port);
        proxy.cutAfter(cut);
        texts[cut] = await read(proxy.url + path, () => proxy.cutAfter(null));
        await proxy.close();
      }
    };
    await Promise.all(Array.from({ length: 150 }, worker));
    expect(Object.keys(texts)).toHaveLength(length);
    return Object.values(texts).filter((text) => text !== words);
  }

  const contentOf = (data: string) => JSON.parse(data) as { type: string; content?: string };

  test("eventsource", async () => {
    const wrong = await atEveryByte(
      (url, uncut) =>
        new Promise((resolve, reject) => {
          let text = "";
          const { authorization } = request.headers;
          // After the `start` event: a browser's EventSource attaches by GET.
          const source = new EventSource(`${url}?after=${cursor}`, {
            fetch: (input, init) =>
              fetch(input, { ...init, headers: { ...init.headers, authorization } as HeadersInit }),
          });
          source.onmessage = ({ data }) => {
            const { type, content } = contentOf(data);
            text += content ?? "";
            if (type !== "end") return;
            source.close();
            resolve(text);
          };
          source.onerror = ({ code }) => {
            uncut();
            if (source.readyState === source.CLOSED) reject(new Error(`gave up, status ${code}`));
          };
        }),
    );
    expect(wrong).toEqual([]);
  }, 120_000);

  test("@microsoft/fetch-event-source", async () => {
    // Made for browsers, it uses these at its end.
    vi.stubGlobal("window", globalThis);
    vi.stubGlobal("document", { removeEventListener: () => {} });
    const before = await cluster.messages(await chatOne());
    const wrong = await atEveryByte(async (url, uncut) => {
      let text = "";
      const finished = new AbortController();
      await fetchEventSource(url, {
        ...request,
        signal: finished.signal,
        openWhenHidden: true,
        fetch: globalThis.fetch,
        onmessage: ({ data }) => {
          // It delivers a block with only `retry:` as a message without data.
          if (!data) return;
          const { type, content } = contentOf(data);
          text += content ?? "";
          if (type === "end") finished.abort();
        },
        onopen: async ({ status }) => {
          if (status === 204) finished.abort();
          else if (status !== 200) throw new Error(`status ${status}`);
        },
        onerror: () => {
          uncut();
          return 1;
        },
      });
      return text;
    });
    expect(await cluster.messages(await chatOne())).toEqual(before);
    // This client takes an id at the end of its line and delivers the event one line feed later:
    // cut at exactly that byte, it resumes after an event that it has not delivered, whatever the
    // server sends. One byte per frame is its own bug.
    expect(wrong.length).toBeLessThanOrEqual(tokens.length);
    for (const text of wrong) expect(tokens.map((_, index) => tokens.toSpliced(index, 1).join(""))).toContain(text);
    vi.unstubAllGlobals();
  }, 120_000);

  async function chatOne(): Promise<string> {
    const { body } = await cluster.api<{ chats: { id: string; number: number }[] }>("GET", "/api/chats?limit=100");
    const chat = body.chats.find(({ number }) => number === 1);
    if (!chat) throw new Error("there is no chat 1");
    return chat.id;
  }
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
