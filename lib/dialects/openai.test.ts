// Request parsing of dialect `openai`. What reaches the provider is in test/chat-completions.test.ts.
import { expect, test } from "vitest";
import { parseInput } from "@/lib/http";
import type { LoggedChunk, MessageMetadata, TurnChunk } from "@/lib/turn/chunks";
import type { TurnPrompt, TurnView } from "@/lib/turn/turn-input";
import { context } from "@/test/dialects/dialect.contract";
import type { TurnRoute } from "./dialect";
import { openai } from "./openai";

const [chat, text] = openai.routes as unknown as [TurnRoute, TurnRoute];
const parse = (route: TurnRoute, body: object) =>
  route.parseRequest({
    body: parseInput(route.body, body),
    references: { messages: new Map() },
    accept: "",
    messageId: "message-0001",
  });
const ask = (body: object) => parse(chat, { messages: [{ role: "user", content: "Hi" }], ...body });

test("a completion is listed, and outlives its client, only if it is to be stored", () => {
  expect(ask({})).toMatchObject({ request: { listed: false }, stopsWithClient: true });
  expect(ask({ store: null })).toMatchObject({ request: { listed: false }, stopsWithClient: true });
  expect(ask({ store: true })).toMatchObject({ request: { listed: true }, stopsWithClient: false });
});

test("a chat takes no tools, and call options only if they differ from the defaults", () => {
  const metadata = { chat_id: "chat-1" };
  expect(ask({ metadata })).toMatchObject({
    chat: { id: "chat-1" },
    request: {
      message: { id: "message-0001", parts: [{ type: "text", text: "Hi" }] },
      view: { includeUsage: false },
    },
  });
  expect(ask({ metadata }).request).not.toHaveProperty("call");
  expect(ask({ metadata, temperature: 0.5 })).toMatchObject({ request: { call: { settings: { temperature: 0.5 } } } });
  expect(() => ask({ metadata, tool_choice: "auto" })).toThrow("tool_choice: the tools of a chat are the server's");
});

test("a tool choice belongs to the tools; without them the provider decides about it", () => {
  const tools = [{ type: "function", function: { name: "clock" } }];
  const named = { type: "function", function: { name: "clock" } };
  const choiceOf = (body: object) => {
    const { toolChoice, fields } = (ask(body).request as { prompt: TurnPrompt }).prompt;
    return [toolChoice, fields?.tool_choice];
  };
  expect(choiceOf({ tool_choice: "required" })).toEqual([undefined, "required"]);
  expect(choiceOf({ tools, tool_choice: "required" })).toEqual(["required", undefined]);
  expect(choiceOf({ tools, tool_choice: named })).toEqual([{ type: "tool", toolName: "clock" }, undefined]);
  expect(choiceOf({ tools })).toEqual([undefined, undefined]);
});

test("a text completion's frames mention usage only if asked to", () => {
  const usage = { inputTokens: 1, outputTokens: 2, totalTokens: 3 };
  const chunks: TurnChunk[] = [
    { type: "text-start", id: "t" },
    { type: "text-delta", id: "t", delta: "a" },
    { type: "message-metadata", messageMetadata: { usage } as MessageMetadata },
    { type: "finish" },
  ];
  const framesWith = (options?: object) => {
    const { view = {} } = parse(text, { prompt: "Hi", stream: true, stream_options: options }).request;
    const encode = openai.encoder({ ...context, view: view as TurnView }, {});
    return chunks
      .flatMap((chunk) => encode({ seq: 1, chunk, json: "" } as LoggedChunk))
      .map(({ data }) => JSON.parse(data));
  };
  expect(framesWith().map(({ usage }) => usage)).toEqual([undefined, undefined]);
  const usages = framesWith({ include_usage: true }).map(({ usage }) => usage);
  expect(usages).toEqual([null, null, expect.objectContaining({ total_tokens: 3 })]);
});
