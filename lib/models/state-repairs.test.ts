// A provider refuses its own returned state, over real HTTP: retried once in a form it accepts.
import { type ModelMessage, streamText } from "ai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseEnv } from "@/lib/env";
import { type Provider, type Script, says, startProvider } from "@/test/provider";
import { buildCatalogue } from "./catalogue";

let provider: Provider;
beforeAll(async () => {
  provider = await startProvider();
});
afterAll(() => provider.close());

type Sent = Record<string, unknown> & { role: string };

const refusing = (status: number, message: string): Script => [{ answer: status, body: { error: { message } } }];

const call = (toolCallId: string, thoughtSignature?: string): ModelMessage[] => [
  {
    role: "assistant",
    content: [
      { type: "reasoning", text: "Hm." },
      {
        type: "tool-call",
        toolCallId,
        toolName: "clock",
        input: {},
        ...(thoughtSignature && { providerOptions: { ollama: { thoughtSignature } } }),
      },
    ],
  },
  {
    role: "tool",
    content: [{ type: "tool-result", toolCallId, toolName: "clock", output: { type: "text", value: "12:00" } }],
  },
];

/** Each request's assistant messages, after a call in an earlier turn and one in this turn. */
async function ask(question: string, messages: ModelMessage[], ...scripts: Script[]): Promise<Sent[][]> {
  provider.on(question, ...scripts);
  const before = provider.requests.length;
  const { model } = buildCatalogue(parseEnv({ MODELS: "ollama:m", OLLAMA_BASE_URL: provider.url })).require();
  const result = streamText({ model, messages, maxRetries: 0, onError: () => {} });
  expect(await result.text).toBe("Yes.");
  return provider.requests
    .slice(before)
    .map(({ body }) => (body.messages as Sent[]).filter(({ role }) => role === "assistant"));
}

const asked = (question: string, earlier: ModelMessage[], now: ModelMessage[] = []): ModelMessage[] => [
  { role: "user", content: "Before." },
  ...earlier,
  { role: "user", content: question },
  ...now,
];

describe("a server that", () => {
  it.each([
    [
      400,
      "'messages.1' : for 'role:assistant' the following must be satisfied[('messages.1' : property 'reasoning_content' is unsupported)]",
    ],
    [
      422,
      '{"type":"extra_forbidden","loc":["body","messages",1,"assistant","reasoning_content"],"msg":"Extra inputs are not permitted"}',
    ],
  ])("rejects reasoning is sent none: %i %s", async (status, words) => {
    const sent = await ask(words, asked(words, call("a")), refusing(status, words), says("Yes."));
    expect(sent.map(([message]) => message?.reasoning_content)).toEqual(["Hm.", undefined]);
    expect(sent[1]?.[0]).toHaveProperty("tool_calls");
  });

  it("requires reasoning with each call is sent a placeholder when another model made the call", async () => {
    const words = "The `reasoning_content` in the thinking mode must be passed back to the API.";
    const [assistant, result] = call("a") as [Extract<ModelMessage, { role: "assistant" }>, ModelMessage];
    const bare = { ...assistant, content: assistant.content.slice(1) } as ModelMessage;
    const sent = await ask(words, asked(words, [bare, result]), refusing(400, words), says("Yes."));
    expect(sent.map(([message]) => message?.reasoning_content)).toEqual([undefined, "(not kept)"]);
  });

  it.each([
    "messages.1.content.0: Invalid `signature` in `thinking` block",
    "Thought signature is not valid",
    "Corrupted thought signature.",
    "Item with id 'rs_1' not found. Items are not persisted when `store` is set to false.",
    "Item 'rs_1' of type 'reasoning' was provided without its required following item.",
  ])("rejects the state of earlier turns keeps that of this one: %s", async (words) => {
    const messages = asked(words, call("a", "old"), call("b", "new"));
    const sent = await ask(words, messages, refusing(400, words), says("Yes."));
    expect(sent.map((each) => JSON.stringify(each))).toEqual([
      expect.stringMatching(/"old".*"new"/),
      expect.not.stringContaining('"old"'),
    ]);
    expect(JSON.stringify(sent[1])).toContain('"new"');
  });

  it("rejects the state of this turn too is sent none", async () => {
    const words = "Invalid thought signature.";
    const messages = asked(words, call("a", "old"), call("b", "new"));
    const sent = await ask(words, messages, refusing(400, words), refusing(400, words), says("Yes."));
    expect(sent.map((each) => JSON.stringify(each).match(/"old"|"new"/g))).toEqual([
      ['"old"', '"new"'],
      ['"new"'],
      null,
    ]);
  });

  it("requires a signature gets the skip value, and keeps its tools", async () => {
    const words = "Function call is missing a thought_signature in functionCall parts.";
    const sent = await ask(words, asked(words, call("a"), call("b")), refusing(400, words), says("Yes."));
    const signature = { google: { thought_signature: "skip_thought_signature_validator" } };
    const [, now] = sent[1] ?? [];
    expect(now?.tool_calls).toMatchObject([{ id: "b", extra_content: signature }]);
    expect(JSON.stringify(sent[1]?.[0])).not.toContain("skip");
  });
});
