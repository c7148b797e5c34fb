// What each provider's own package sends back of an earlier turn with a call: the body of the later
// request, against a server that streams the provider's bytes.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type ModelMessage, tool } from "ai";
import { expect, it, onTestFinished } from "vitest";
import { z } from "zod";
import { parseEnv } from "@/lib/env";
import { buildCatalogue } from "@/lib/models/catalogue";
import { unlimitedContext } from "@/lib/models/context";
import * as wires from "@/test/provider-wires";
import type { ChatMessage, TurnChunk } from "./chunks";
import { foldChunks, textOf } from "./fold";
import { runTurn } from "./run";
import type { RunInput } from "./run-input";

type Body = Record<string, unknown>;
type Refusal = { type: "error"; error: { type: string; message: string } };

/** Answers with these replies in turn, and records the requests. */
async function serving({ contentType }: wires.Wire, ...replies: (Buffer | Refusal)[]) {
  const bodies: Body[] = [];
  const server = createServer(async (request, response) => {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece);
    const reply = replies[Math.min(bodies.length, replies.length - 1)] as Buffer | Refusal;
    const refused = "error" in reply;
    response.writeHead(refused ? 400 : 200, { "content-type": refused ? "application/json" : contentType });
    response.end(refused ? JSON.stringify(reply) : reply);
    bodies.push(JSON.parse(Buffer.concat(pieces).toString()));
  });
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, bodies };
}

type Case = [
  name: string,
  model: string,
  wire: wires.Wire,
  variables: (url: string) => Record<string, string>,
  /** The request field with the conversation, and the returned parts in it. */
  field: string,
  answers: object[],
];

const signature = "c2lnbmVk";
const encrypted = { type: "reasoning", encrypted_content: signature };
const responses = [
  { ...encrypted, summary: [{ text: "Weather." }] },
  { type: "function_call" },
  { type: "function_call_output" },
  { ...encrypted, summary: [{ text: "Let me think." }] },
  { role: "assistant" },
];
const details = (text: string) => ({ reasoning_details: [{ type: "reasoning.text", text, signature }] });
const thinking = (text: string) => ({ type: "thinking", thinking: [{ type: "text", text }] });
const amazon = (text: string) => ({ reasoningContent: { reasoningText: { text, signature } } });
const called = { role: "assistant", tool_calls: [{ function: { name: "weather" } }] };
const said = { role: "assistant" };
const result = { role: "tool" };

const cases: Case[] = [
  [
    "anthropic",
    "claude-sonnet-5-5",
    wires.anthropic,
    (url) => ({ ANTHROPIC_API_KEY: "k", ANTHROPIC_BASE_URL: `${url}/v1` }),
    "messages",
    [
      { role: "assistant", content: [{ type: "thinking", thinking: "Weather.", signature }, { type: "tool_use" }] },
      { role: "user", content: [{ type: "tool_result" }] },
      { role: "assistant", content: [{ type: "thinking", thinking: "Let me think.", signature }, { type: "text" }] },
    ],
  ],
  [
    "google",
    "gemini-3.8-flash",
    wires.google,
    (url) => ({ GOOGLE_GENERATIVE_AI_API_KEY: "k", GOOGLE_GENERATIVE_AI_BASE_URL: `${url}/v1beta` }),
    "contents",
    [
      { role: "model", parts: [{ thought: true }, { functionCall: { name: "weather" }, thoughtSignature: signature }] },
      { role: "user", parts: [{ functionResponse: { name: "weather" } }] },
      { role: "model", parts: [{ thought: true }, { text: "Hello there.", thoughtSignature: signature }] },
    ],
  ],
  [
    "mistral",
    "magistral-medium-latest",
    wires.mistral,
    (url) => ({ MISTRAL_API_KEY: "k", MISTRAL_BASE_URL: `${url}/v1` }),
    "messages",
    [
      { ...called, content: [thinking("Weather.")] },
      result,
      { ...said, content: [thinking("Let me think."), { type: "text", text: "Hello there." }] },
    ],
  ],
  [
    "deepseek",
    "deepseek-v4-pro",
    wires.deepseek,
    (url) => ({ DEEPSEEK_API_KEY: "k", DEEPSEEK_BASE_URL: url }),
    "messages",
    [{ ...called, reasoning_content: "Weather." }, result, { ...said, reasoning_content: "Let me think." }],
  ],
  [
    "groq",
    "openai/gpt-oss-120b",
    wires.groq,
    (url) => ({ GROQ_API_KEY: "k", GROQ_BASE_URL: `${url}/openai/v1` }),
    "messages",
    [{ ...called, reasoning: "Weather." }, result, { ...said, reasoning: "Let me think." }],
  ],
  [
    "openrouter",
    "anthropic/claude-sonnet-5",
    wires.openrouter,
    (url) => ({ OPENROUTER_API_KEY: "k", OPENROUTER_BASE_URL: `${url}/api/v1` }),
    "messages",
    [{ ...called, ...details("Weather.") }, result, { ...said, ...details("Let me think.") }],
  ],
  ["xai", "grok-4.7", wires.responses, (url) => ({ XAI_API_KEY: "k", XAI_BASE_URL: `${url}/v1` }), "input", responses],
  [
    "azure",
    "our-deployment",
    wires.responses,
    (url) => ({ AZURE_API_KEY: "k", AZURE_BASE_URL: `${url}/openai/v1` }),
    "input",
    responses,
  ],
  [
    "bedrock",
    "us.anthropic.claude-sonnet-5",
    wires.bedrock,
    (url) => ({ AWS_BEARER_TOKEN_BEDROCK: "k", AWS_REGION: "us-east-1", BEDROCK_BASE_URL: url }),
    "messages",
    [
      { role: "assistant", content: [amazon("Weather."), { toolUse: { name: "weather" } }] },
      { role: "user", content: [{ toolResult: {} }] },
      { role: "assistant", content: [amazon("Let me think."), { text: "Hello there." }] },
    ],
  ],
];

const weather = tool({ inputSchema: z.object({ city: z.string() }), execute: async () => ({ degrees: -3 }) });

/** The history plus a question and its stored answer. */
async function ask(history: ChatMessage[], text: string, model: Pick<RunInput, "model" | "modelId">) {
  const question: ChatMessage = { id: "q", role: "user", parts: [{ type: "text", text }] };
  const turn = runTurn(
    {
      turnId: "turn",
      chatId: "chat",
      messageId: "answer",
      userMessageId: "q",
      createdAt: "2026-01-02T03:04:05.678Z",
      history: [...history, question],
      question: text,
      searchMode: "none",
      tools: { weather },
      ...model,
    },
    {
      ...unlimitedContext,
      nowMs: () => performance.now(),
      countDocuments: async () => 0,
      search: async () => [],
      onModelPhase: () => {},
      fenceCode: () => "5e1f0c",
      classify: (error) => ({ code: "internal", message: String(error), retryable: false }),
      ground: () => null,
      report: (error) => {
        throw error;
      },
    },
    new AbortController().signal,
  );
  const chunks: TurnChunk[] = [];
  for await (const chunk of turn) chunks.push(JSON.parse(JSON.stringify(chunk)));
  const answer = JSON.parse(JSON.stringify(await foldChunks(chunks))) as ChatMessage;
  expect(textOf(answer)).toBe("Hello there.");
  return [...history, question, answer];
}

it.each(cases)("%s gets its own state back in a later turn, and another of its models gets none", async (...each) => {
  const [name, model, wire, variables, field, answers] = each;
  const { url, bodies } = await serving(wire, wire.call, wire.answer);
  const catalogue = buildCatalogue(parseEnv({ MODELS: `${name}:${model},${name}:other`, ...variables(url) }));
  const modelOf = (modelId: string) => ({ modelId, model: catalogue.require(modelId).model });
  const first = await ask([], "How is the weather?", modelOf(`${name}:${model}`));
  const second = await ask(first, "And now?", modelOf(`${name}:${model}`));
  await ask(second, "And here?", modelOf(`${name}:other`));
  expect(bodies).toHaveLength(4);
  const later = bodies[2]?.[field] as ModelMessage[];
  expect(later.slice(-answers.length - 1, -1)).toMatchObject(answers);
  expect(JSON.stringify(bodies[3]?.[field])).not.toMatch(/c2lnbmVk|Weather\.|Let me think\./);
});

const anthropic = (url: string) =>
  buildCatalogue(
    parseEnv({ MODELS: "anthropic:claude-sonnet-5-5", ANTHROPIC_API_KEY: "k", ANTHROPIC_BASE_URL: `${url}/v1` }),
  ).require();

it("Anthropic gets its redacted thinking back", async () => {
  const events = wires.anthropic.call.toString().split("\n\n");
  const redacted = events
    .filter((event) => !/thinking_delta|signature_delta/.test(event))
    .map((event) => event.replace(/{"type":"thinking",.*?}/, '{"type":"redacted_thinking","data":"c2VhbGVk"}'));
  const { url, bodies } = await serving(wires.anthropic, Buffer.from(redacted.join("\n\n")), wires.anthropic.answer);
  const { id: modelId, model } = anthropic(url);
  await ask(await ask([], "How is the weather?", { modelId, model }), "And now?", { modelId, model });
  for (const { messages } of bodies.slice(1) as { messages: object[] }[])
    expect(messages[1]).toMatchObject({
      content: [{ type: "redacted_thinking", data: "c2VhbGVk" }, { type: "tool_use" }],
    });
});

it("Anthropic rejecting earlier turns' thinking is retried without it, with this turn's thinking kept", async () => {
  const message =
    "messages.1.content.0: Invalid `signature` in `thinking` block. It is bound to a different conversation.";
  const refusal: Refusal = { type: "error", error: { type: "invalid_request_error", message } };
  const { call, answer } = wires.anthropic;
  const { url, bodies } = await serving(wires.anthropic, call, answer, call, refusal, answer);
  const { id: modelId, model } = anthropic(url);
  await ask(await ask([], "How is the weather?", { modelId, model }), "And now?", { modelId, model });
  const thoughts = bodies.map((body) => JSON.stringify(body.messages).match(/"thinking":"[^"]+/g)?.length ?? 0);
  // The question, with its call, with an earlier turn, with another call, and without the earlier
  // turn's.
  expect(thoughts).toEqual([0, 1, 2, 3, 1]);
});
