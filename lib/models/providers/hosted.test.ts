// Each provider's own package over our HTTP, against a server that streams that provider's bytes.
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { setImmediate } from "node:timers/promises";
import { type ModelMessage, streamText, tool } from "ai";
import { describe, expect, it, onTestFinished } from "vitest";
import { z } from "zod";
import { parseEnv } from "@/lib/env";
import { buildCatalogue } from "@/lib/models/catalogue";
import { classifyFailure } from "@/lib/models/failure";
import * as wires from "@/test/provider-wires";

type ReceivedRequest = { path: string; headers: IncomingHttpHeaders; body: Record<string, unknown> };
/** With `piece`, sent in writes of that many bytes. */
type Reply = { bytes: Buffer; contentType: string; status?: number; cut?: boolean; piece?: number };

/** Answers with these replies in turn. */
async function answering(...replies: Reply[]) {
  const seen: ReceivedRequest[] = [];
  const server = createServer(async (request, response) => {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece);
    const body = JSON.parse(Buffer.concat(pieces).toString()) as ReceivedRequest["body"];
    const reply = replies[Math.min(seen.length, replies.length - 1)] as Reply;
    seen.push({ path: request.url ?? "", headers: request.headers, body });
    response.writeHead(reply.status ?? 200, { "content-type": reply.contentType });
    const { bytes, piece = bytes.length } = reply;
    for (let at = 0; at < bytes.length; at += piece) {
      await new Promise((resolve) => response.write(bytes.subarray(at, at + piece), resolve));
      if (piece < bytes.length) await setImmediate();
    }
    if (reply.cut) response.destroy();
    else response.end();
  });
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

type Case = {
  name: string;
  model: string;
  wire: wires.Wire;
  variables(url: string): Record<string, string>;
  path: string;
  /** The header with the key. */
  key: [name: string, value: string | RegExp];
  body: object;
  /** Signed data that must come back with the next request; null when it signs nothing. */
  signed: string | null;
  failure: string;
};

const bearer: Case["key"] = ["authorization", "Bearer secret-key"];
const asked = { max_tokens: 100, stream: true };

const cases: Case[] = [
  {
    name: "anthropic",
    model: "claude-sonnet-5-5",
    wire: wires.anthropic,
    variables: (url) => ({ ANTHROPIC_API_KEY: "secret-key", ANTHROPIC_BASE_URL: `${url}/v1` }),
    path: "/v1/messages",
    key: ["x-api-key", "secret-key"],
    body: { model: "claude-sonnet-5-5", ...asked },
    signed: "c2lnbmVk",
    failure: "provider_unavailable",
  },
  {
    name: "google",
    model: "gemini-3.8-flash",
    wire: wires.google,
    variables: (url) => ({
      GOOGLE_GENERATIVE_AI_API_KEY: "secret-key",
      GOOGLE_GENERATIVE_AI_BASE_URL: `${url}/v1beta`,
    }),
    path: "/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse",
    key: ["x-goog-api-key", "secret-key"],
    body: { generationConfig: { maxOutputTokens: 100 } },
    signed: "c2lnbmVk",
    failure: "provider_unavailable",
  },
  {
    name: "mistral",
    model: "magistral-medium-latest",
    wire: wires.mistral,
    variables: (url) => ({ MISTRAL_API_KEY: "secret-key", MISTRAL_BASE_URL: `${url}/v1` }),
    path: "/v1/chat/completions",
    key: bearer,
    body: { model: "magistral-medium-latest", ...asked },
    signed: null,
    failure: "provider_unavailable",
  },
  {
    name: "deepseek",
    model: "deepseek-v4-pro",
    wire: wires.deepseek,
    variables: (url) => ({ DEEPSEEK_API_KEY: "secret-key", DEEPSEEK_BASE_URL: url }),
    path: "/chat/completions",
    key: bearer,
    body: { model: "deepseek-v4-pro", ...asked },
    signed: "Weather.",
    failure: "provider_unavailable",
  },
  {
    name: "groq",
    model: "openai/gpt-oss-120b",
    wire: wires.groq,
    variables: (url) => ({ GROQ_API_KEY: "secret-key", GROQ_BASE_URL: `${url}/openai/v1` }),
    path: "/openai/v1/chat/completions",
    key: bearer,
    body: { model: "openai/gpt-oss-120b", ...asked },
    signed: null,
    failure: "provider_unavailable",
  },
  {
    name: "xai",
    model: "grok-4.7",
    wire: wires.responses,
    variables: (url) => ({ XAI_API_KEY: "secret-key", XAI_BASE_URL: `${url}/v1` }),
    path: "/v1/responses",
    key: bearer,
    body: { model: "grok-4.7", store: false, max_output_tokens: 100, stream: true },
    signed: "c2lnbmVk",
    failure: "provider_unavailable",
  },
  {
    name: "openrouter",
    model: "anthropic/claude-sonnet-5",
    wire: wires.openrouter,
    variables: (url) => ({ OPENROUTER_API_KEY: "secret-key", OPENROUTER_BASE_URL: `${url}/api/v1` }),
    path: "/api/v1/chat/completions",
    key: bearer,
    body: { model: "anthropic/claude-sonnet-5", ...asked, stream_options: { include_usage: true } },
    signed: "c2lnbmVk",
    failure: "provider_unavailable",
  },
  {
    name: "azure",
    model: "our-deployment",
    wire: wires.responses,
    variables: (url) => ({ AZURE_API_KEY: "secret-key", AZURE_BASE_URL: `${url}/openai/v1` }),
    path: "/openai/v1/responses",
    key: ["api-key", "secret-key"],
    body: { model: "our-deployment", store: false, max_output_tokens: 100, stream: true },
    signed: "c2lnbmVk",
    failure: "provider_unavailable",
  },
  {
    name: "bedrock",
    model: "us.anthropic.claude-sonnet-5",
    wire: wires.bedrock,
    variables: (url) => ({ AWS_BEARER_TOKEN_BEDROCK: "secret-key", AWS_REGION: "us-east-1", BEDROCK_BASE_URL: url }),
    path: "/model/us.anthropic.claude-sonnet-5/converse-stream",
    key: bearer,
    body: { inferenceConfig: { maxTokens: 100 } },
    signed: "c2lnbmVk",
    failure: "provider_rate_limited",
  },
];

const weather = tool({ inputSchema: z.object({ city: z.string() }) });

/** All parts of one answer. */
async function ask({ name, model, variables }: Case, url: string, messages: ModelMessage[]) {
  const catalogue = buildCatalogue(parseEnv({ MODELS: `${name}:${model}`, ...variables(url) }));
  const result = streamText({
    model: catalogue.require().model,
    messages,
    tools: { weather },
    maxOutputTokens: 100,
    maxRetries: 0,
    onError: () => {},
  });
  const received = { text: "", reasoning: "", finishReason: "", error: undefined as unknown };
  const calls: unknown[] = [];
  const callIds: string[] = [];
  let usage: unknown;
  for await (const part of result.stream) {
    if (part.type === "text-delta") received.text += part.text;
    if (part.type === "reasoning-delta") received.reasoning += part.text;
    if (part.type === "tool-call") {
      calls.push([part.toolName, part.input]);
      callIds.push(part.toolCallId);
    }
    if (part.type === "error") received.error = part.error;
    if (part.type === "finish") {
      received.finishReason = part.finishReason;
      usage = [part.totalUsage.inputTokens, part.totalUsage.outputTokens];
    }
  }
  const responseMessages = received.error ? [] : (await result.response).messages;
  return { ...received, calls, callIds, usage, responseMessages };
}

const question: ModelMessage = { role: "user", content: "How is the weather in Oslo?" };
const reply = ({ contentType }: wires.Wire, bytes: Buffer, more: Partial<Reply> = {}): Reply => ({
  contentType,
  bytes,
  ...more,
});
/** Most of an answer: text is cut at the end of an event, Amazon's messages anywhere. */
function beginning(bytes: Buffer): Buffer {
  const most = Math.floor(bytes.length * 0.75);
  const end = bytes.lastIndexOf("\n\n", most);
  return bytes.subarray(0, end === -1 ? most : end + 2);
}

describe.each(cases)("$name", (each) => {
  const { wire } = each;

  it("streams its answer, and is called with its key at its own address", async () => {
    const { url, seen } = await answering(reply(wire, wire.answer));
    expect(await ask(each, url, [question])).toMatchObject({
      reasoning: "Let me think.",
      text: "Hello there.",
      calls: [],
      error: undefined,
      finishReason: "stop",
      usage: [12, 7],
    });
    expect(seen).toEqual([expect.objectContaining({ path: each.path, body: expect.objectContaining(each.body) })]);
    expect(seen[0]?.headers[each.key[0]]).toEqual(each.key[1]);
    expect(seen[0]?.headers["accept-encoding"]).toBe("identity");
  });

  it("calls a tool, and gets the result with its signature", async () => {
    const { url, seen } = await answering(reply(wire, wire.call), reply(wire, wire.answer));
    const first = await ask(each, url, [question]);
    expect(first).toMatchObject({ calls: [["weather", { city: "Oslo" }]], reasoning: "Weather." });
    expect(first.finishReason).toBe("tool-calls");
    const output = { type: "json" as const, value: { degrees: -3 } };
    const result = { type: "tool-result" as const, toolCallId: first.callIds[0] ?? "", toolName: "weather", output };
    const second = await ask(each, url, [question, ...first.responseMessages, { role: "tool", content: [result] }]);
    expect(second.text).toBe("Hello there.");
    const sent = JSON.stringify(seen[1]?.body);
    expect(sent).toMatch(/degrees\\*":-3/);
    expect(sent).toContain(each.signed ?? "weather");
  });

  it("fails with its class and keeps its text when it reports an error mid-stream", async () => {
    const { url } = await answering(reply(wire, wire.failure));
    const received = await ask(each, url, [question]);
    expect(received.text).toBe("Hel");
    expect(classifyFailure(received.error).code).toBe(each.failure);
  });

  it("is interrupted when its stream ends early, and fails when its connection does", async () => {
    const ended = await answering(reply(wire, beginning(wire.answer)));
    const cut = await answering(reply(wire, beginning(wire.answer), { cut: true }));
    const received = [await ask(each, ended.url, [question]), await ask(each, cut.url, [question])];
    const endings = received.map(({ error, finishReason }) => (error ? classifyFailure(error).code : finishReason));
    expect(endings).toEqual(["interrupted", "provider_unavailable"]);
  });

  it("rejects a wrong key", async () => {
    const body = Buffer.from('{"error":{"message":"bad key"},"message":"bad key"}');
    const { url } = await answering({ contentType: "application/json", bytes: body, status: 401 });
    expect(classifyFailure((await ask(each, url, [question])).error).code).toBe("provider_auth");
  });
});

it("bedrock signs requests when it has a key pair", async () => {
  const bedrock = cases.find(({ name }) => name === "bedrock") as Case;
  const { url, seen } = await answering(reply(bedrock.wire, bedrock.wire.answer));
  const variables = (address: string) => ({
    AWS_ACCESS_KEY_ID: "AKIDEXAMPLE",
    AWS_SECRET_ACCESS_KEY: "secret-key",
    AWS_SESSION_TOKEN: "session",
    AWS_REGION: "eu-central-1",
    BEDROCK_BASE_URL: address,
  });
  expect((await ask({ ...bedrock, variables }, url, [question])).text).toBe("Hello there.");
  expect(seen[0]?.headers).toMatchObject({
    authorization: expect.stringMatching(
      /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/\d{8}\/eu-central-1\/bedrock\/aws4_request/,
    ),
    "x-amz-security-token": "session",
  });
});

it("a binary stream is read correctly wherever its reads are cut", async () => {
  const { wire, ...bedrock } = cases.find(({ name }) => name === "bedrock") as Case;
  const { url } = await answering({ ...reply(wire, wire.answer), piece: 7 });
  expect(await ask({ ...bedrock, wire }, url, [question])).toMatchObject({
    text: "Hello there.",
    finishReason: "stop",
  });
});
