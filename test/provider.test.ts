import { request as httpRequest } from "node:http";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, isStepCount, streamText, type TextStreamPart, type ToolSet, tool } from "ai";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { type Provider, type Script, says, startProvider, tokensOf } from "./provider.ts";
import type { ShapeName } from "./provider-shapes.ts";

let provider: Provider;
beforeEach(async () => {
  provider = await startProvider();
});
afterEach(() => provider.close());

function modelOf(shape: ShapeName) {
  const openai = createOpenAI({ baseURL: provider.url, apiKey: "test-key" });
  return shape === "chat" ? openai.chat("scripted") : openai.responses("scripted");
}

const tools: ToolSet = {
  add: tool({
    inputSchema: z.object({ a: z.number(), b: z.number() }),
    execute: ({ a, b }) => ({ sum: a + b }),
  }),
};

/** What the real SDK makes of a script: all parts of its stream, failures included. */
async function read(shape: ShapeName, script: Script, prompt = "question"): Promise<TextStreamPart<ToolSet>[]> {
  provider.on("question", script);
  const result = streamText({ model: modelOf(shape), prompt, maxRetries: 0, onError: () => {} });
  const parts: TextStreamPart<ToolSet>[] = [];
  for await (const part of result.stream) parts.push(part);
  return parts;
}

const textOf = (parts: TextStreamPart<ToolSet>[]) =>
  parts.map((part) => (part.type === "text-delta" ? part.text : "")).join("");
const endOf = (parts: TextStreamPart<ToolSet>[]) => parts.find((part) => part.type === "finish-step");
const typesOf = (parts: TextStreamPart<ToolSet>[]) => parts.map((part) => part.type);

describe.each<ShapeName>(["chat", "responses"])("%s, read by @ai-sdk/openai", (shape) => {
  it("streams text, finish reason and usage", async () => {
    const text = "Grüße,  two\nlines and 🚀 ";
    const parts = await read(shape, says(text, { input: 7, output: 5 }));
    expect(textOf(parts)).toBe(text);
    expect(endOf(parts)).toMatchObject({
      finishReason: "stop",
      usage: { inputTokens: 7, outputTokens: 5, totalTokens: 12 },
    });
    expect(typesOf(parts)).not.toContain("error");
    expect(provider.requests[0]).toMatchObject({ shape, stream: true, model: "scripted", prompt: "question" });
    expect(provider.requests[0]?.sent).toBe(text);
    expect(await provider.requests[0]?.closed).toBe("server");
  });

  it("sends one JSON body when the request does not stream", async () => {
    provider.on("question", says("All at once.", { input: 3, output: 4 }));
    const result = await generateText({ model: modelOf(shape), prompt: "question" });
    expect(result.text).toBe("All at once.");
    expect(result.finishReason).toBe("stop");
    expect(result.usage).toMatchObject({ inputTokens: 3, outputTokens: 4 });
  });

  it("calls a tool with split arguments and answers in a second request", async () => {
    provider.on(
      "question",
      [{ text: "Let me add." }, { tool: "add", arguments: ['{"a":', "2,", '"b":40}'] }, { finish: "tool_calls" }],
      says("It is 42."),
    );
    const result = streamText({ model: modelOf(shape), prompt: "question", tools, stopWhen: isStepCount(2) });
    const parts: TextStreamPart<ToolSet>[] = [];
    for await (const part of result.stream) parts.push(part);
    expect(parts.find((part) => part.type === "tool-result")).toMatchObject({ toolName: "add", output: { sum: 42 } });
    expect(parts.filter((part) => part.type === "tool-input-delta").map((part) => part.delta)).toEqual([
      '{"a":',
      "2,",
      '"b":40}',
    ]);
    expect(textOf(parts)).toBe("Let me add.It is 42.");
    expect(provider.requests).toHaveLength(2);
    expect(JSON.stringify(provider.requests[1]?.body)).toContain("42");
  });

  it("splits UTF-8 between writes", async () => {
    const parts = await read(shape, [{ text: "ä🚀\u0000ß", piece: 1 }, { finish: "stop" }]);
    expect(textOf(parts)).toBe("ä🚀\u0000ß");
  });

  it("reports finish reason length", async () => {
    const parts = await read(shape, [{ text: "Half an" }, { finish: "length" }]);
    expect(endOf(parts)).toMatchObject({ finishReason: "length" });
  });

  it("ends early without a finish reason", async () => {
    const parts = await read(shape, [{ text: "Half" }]);
    expect(textOf(parts)).toBe("Half");
    expect(endOf(parts)).toMatchObject({ finishReason: "interrupted", rawFinishReason: undefined });
  });

  it.each<[string, Script]>([
    [
      "401",
      [{ answer: 401, body: { error: { message: "bad key sk-canary", type: "auth", code: "invalid_api_key" } } }],
    ],
    ["500", [{ answer: 500, body: "<html>canary</html>" }]],
    ["bad JSON", [{ text: "ok" }, { raw: "data: {not json\n\n" }]],
    ["an error event", [{ text: "ok" }, { error: "The model broke.", code: "server_error" }]],
  ])("fails on %s", async (_, script) => {
    expect(typesOf(await read(shape, script))).toContain("error");
  });

  it("cuts the socket after the text, which fails the SDK's stream", async () => {
    await expect(read(shape, [{ text: "ok" }, { cut: true }])).rejects.toThrow();
    expect(provider.requests[0]).toMatchObject({ sent: "ok", closedBy: "server" });
  });

  it("sends HTML with 200, which the SDK reads as a stream that ended early", async () => {
    const parts = await read(shape, [{ answer: 200, body: "<!doctype html><p>Not a stream." }]);
    expect(textOf(parts)).toBe("");
    expect(endOf(parts)).toMatchObject({ finishReason: "interrupted" });
  });

  it("sends a line of 10 MiB", async () => {
    const text = "x".repeat(10 * 2 ** 20);
    expect(textOf(await read(shape, [{ text }, { finish: "stop" }]))).toBe(text);
  });

  it("waits at a gate, and notices the client leaving", async () => {
    provider.on("question", [{ text: "first" }, { gate: "half" }, { text: "second" }, { finish: "stop" }]);
    const abort = new AbortController();
    const result = streamText({
      model: modelOf(shape),
      prompt: "question",
      abortSignal: abort.signal,
      onError: () => {},
    });
    const text = result.textStream[Symbol.asyncIterator]();
    expect((await text.next()).value).toBe("first");
    await provider.reached("half");
    const [request] = provider.requests;
    expect(request).toMatchObject({ sent: "first", closedBy: undefined });
    abort.abort();
    expect(await request?.closed).toBe("client");
    expect(request?.sent).toBe("first");
  });

  it("continues when the gate opens", async () => {
    const reading = read(shape, [{ gate: "start" }, { headers: true }, ...says("Now.")]);
    await provider.reached("start");
    provider.open("start");
    expect(textOf(await reading)).toBe("Now.");
  });
});

it("sends reasoning in the Responses format", async () => {
  const parts = await read("responses", [
    { reasoning: "Let me " },
    { reasoning: "think." },
    { text: "Done." },
    { finish: "stop" },
  ]);
  expect(parts.filter((part) => part.type === "reasoning-delta").map((part) => part.text)).toEqual([
    "Let me ",
    "think.",
  ]);
  expect(typesOf(parts).indexOf("reasoning-end")).toBeLessThan(typesOf(parts).indexOf("text-start"));
});

it("hangs before or after the headers", async () => {
  provider.on("before", [{ hang: true }]);
  provider.on("after", [{ headers: true }, { hang: true }]);
  const send = (prompt: string) => {
    const body = JSON.stringify({ model: "scripted", stream: true, messages: [{ role: "user", content: prompt }] });
    const outgoing = httpRequest(`${provider.url}/chat/completions`, { method: "POST" });
    outgoing.on("error", () => {}).end(body);
    return outgoing;
  };
  const before = send("before");
  const after = send("after");
  const status = await new Promise((resolve) => after.on("response", (response) => resolve(response.statusCode)));
  expect(status).toBe(200);
  const silent = await provider.request("before");
  expect(silent.closedBy).toBeUndefined();
  before.destroy();
  after.destroy();
  expect(await silent.closed).toBe("client");
  expect(await (await provider.request("after")).closed).toBe("client");
});

it("is controlled through its control endpoint", async () => {
  const control = (path: string, body?: unknown) =>
    fetch(`http://127.0.0.1:${provider.port}/control/${path}`, { method: "POST", body: JSON.stringify(body) });
  await control("on?name=question", [[{ text: "a" }, { gate: "g" }, { text: "b" }, { finish: "stop" }]]);
  const reading = streamText({ model: modelOf("chat"), prompt: "a question" }).text;
  await control("reached?name=g");
  const seen = (await (await control("request?name=question")).json()) as { sent: string };
  expect(seen.sent).toBe("a");
  await control("open?name=g");
  expect(await reading).toBe("ab");
  const closed = (await (await control("closed?name=question")).json()) as { closedBy: string };
  expect(closed.closedBy).toBe("server");
});

it("lists its models", async () => {
  const answer = await fetch(`${provider.url}/models`);
  expect(await answer.json()).toMatchObject({ data: [{ id: "scripted" }] });
});

it("splits text into tokens that join to the same text", () => {
  for (const text of ["", " ", "a", " a  b\n", "one two", "\n\n- x"]) expect(tokensOf(text).join("")).toBe(text);
});
