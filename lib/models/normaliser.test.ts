// The answers of test/provider-text-answers.ts and test/provider-call-answers.ts, read whole, byte
// by byte, and cut at every byte.
import { createOpenAI } from "@ai-sdk/openai";
import { describe, expect, it } from "vitest";
import { chunk, done, frame, hello, type Meaning, meaningOf, stop, usage } from "@/test/provider-answers";
import { callAnswers } from "@/test/provider-call-answers";
import { textAnswers } from "@/test/provider-text-answers";
import { truncatedReason } from "./answer-events";
import { ChatReader } from "./chat-reader";
import { framesOf, type NormalisedItem, Normaliser } from "./normaliser";
import { ResponsesReader } from "./responses-reader";

const answers = [...textAnswers, ...callAnswers];

function read(pieces: Iterable<Uint8Array>): Meaning {
  const normaliser = new Normaliser(new ChatReader("http://provider/v1/chat/completions"));
  const items: NormalisedItem[] = [];
  for (const piece of pieces) items.push(...normaliser.read(piece));
  items.push(...normaliser.finish(false));
  return meaningOf(framesOf(items), normaliser.failure);
}

const whole = (text: string) => read([Buffer.from(text)]);
const bytewise = (text: string) => read(Array.from(Buffer.from(text), (byte) => Uint8Array.of(byte)));

describe("an answer with", () => {
  it.each(answers)("%s is read", (_, wire, meaning) => {
    expect(whole(wire)).toMatchObject(meaning);
  });

  it.each(answers)("%s means the same when fed byte by byte", (_, wire) => {
    expect(bytewise(wire)).toEqual(whole(wire));
  });

  it.each(answers)("%s, cut at any byte, is interrupted or complete", (_, wire) => {
    const right = whole(wire);
    const bytes = Buffer.from(wire);
    for (let end = 0; end < bytes.length; end++) {
      const cut = read([bytes.subarray(0, end)]);
      const { text, reasoning, calls, finish, failed } = right;
      // After the finish reason only usage is missing.
      const expected =
        cut.finish === truncatedReason
          ? { failed: null, begins: [true, true] }
          : { failed, begins: [true, true], text, reasoning, calls, finish };
      const begins = [text.startsWith(cut.text), reasoning.startsWith(cut.reasoning)];
      expect([end, { ...cut, begins }]).toMatchObject([end, expected]);
    }
  });
});

describe("a failure", () => {
  it.each<[string, string, Partial<Meaning>]>([
    ["in an event", hello + frame({ error: { code: 502, message: "x" } }), { text: "Hello world.", failed: 502 }],
    [
      "in a choice",
      hello + frame({ choices: [{ index: 0, delta: {}, finish_reason: "stop", error: { code: 502 } }] }),
      { failed: 502 },
    ],
    ["beside empty choices", frame({ choices: [], error: { code: 400, message: "too long" } }) + done, { failed: 400 }],
    ["in an event named error", `${hello}event: error\ndata: {"code":"rate_limit_exceeded"}\n\n`, { failed: 429 }],
    ["in its own field", 'error: {"code":400,"message":"x"}\n\ndata: [DONE]\n\n', { failed: 400 }],
    ["as a finish reason", hello + chunk({}, "error"), { failed: 500 }],
    ["by its type", frame({ error: { type: "authentication_error" } }), { failed: 401 }],
    ["as a string", frame({ error: "model 'x' not found, try pulling it first" }), { failed: 404 }],
    ["with a number as a string", frame({ error: { code: "429", message: "x" } }), { failed: 429 }],
    ["in vLLM's format", frame({ object: "error", message: "x", code: 400 }), { failed: 400 }],
    ["in FastAPI's format", frame({ detail: "Not authenticated: no permission" }), { failed: 401 }],
    [
      "in Cloudflare's format",
      frame({ success: false, errors: [{ code: 7000, message: "No route" }] }),
      { failed: 500 },
    ],
    ["in SiliconFlow's format", frame({ code: 30001, message: "insufficient balance", data: null }), { failed: 402 }],
    [
      "in MiniMax's format",
      frame({ choices: null, base_resp: { status_code: 1008, status_msg: "insufficient balance" } }),
      { failed: 402 },
    ],
    ["in Gemini's format", `data: [{"error":{"code":400,"status":"INVALID_ARGUMENT"}}]\n\n`, { failed: 400 }],
    ["in Anthropic's format", frame({ type: "error", error: { type: "overloaded_error" } }), { failed: 500 }],
    ["in one line of a stream of lines", `${hello}{"error":{"code":503}}\n`, { text: "Hello world.", failed: 503 }],
    [
      "of a call without a name",
      chunk({ tool_calls: [{ index: 0, function: { arguments: "{}x" } }] }) + stop,
      { failed: true },
    ],
    ["as a broken object", `${hello}data: {"choices":[{\n\n`, { text: "Hello world.", failed: true }],
    ["as bytes that are not text", `${hello}data: \ufffd\n\n`, { text: "Hello world.", failed: true }],
    ["as a broken list", `${hello}data: [[[\n\n`, { text: "Hello world.", failed: true }],
    ["as a long unstructured text", `${hello}data: ${"x".repeat(1_000)}\n\n`, { failed: true }],
    ["as another API's objects only", 'data: {"answer":"Hello"}\n\n', { failed: true }],
  ])("%s ends the answer and keeps the text before it", (_, wire, meaning) => {
    expect(whole(wire)).toMatchObject(meaning);
    expect(bytewise(wire)).toMatchObject(meaning);
  });

  it("of an event without an end is detected before it fills memory", () => {
    const normaliser = new Normaliser(new ChatReader("http://provider"));
    const piece = Buffer.from("x".repeat(1_048_576));
    normaliser.read(Buffer.from("data: "));
    for (let count = 0; count < 20 && !normaliser.failure; count++) normaliser.read(piece);
    expect(normaliser.failure).toBeTruthy();
  });
});

it("content after a premature finish reason is read", () => {
  expect(whole(chunk({ content: "Hello " }, "stop") + chunk({ content: "world." }, "stop") + done)).toMatchObject({
    text: "Hello world.",
    finish: "stop",
  });
  const call = { tool_calls: [{ index: 0, id: "a", function: { name: "list_tasks", arguments: "" } }] };
  expect(whole(stop + chunk(call) + done)).toMatchObject({ calls: [{ id: "a" }], finish: "tool_calls" });
});

it("usage after [DONE] is read", () => {
  expect(whole(hello + stop + done + usage)).toMatchObject({ text: "Hello world.", finish: "stop", tokens: 7 });
});

it("accepts one JSON body instead of a stream", () => {
  const normaliser = new Normaliser(new ChatReader("http://provider"));
  const message = { role: "assistant", content: "Hello world." };
  const body = { choices: [{ index: 0, message, finish_reason: "stop" }], usage: { total_tokens: 3 } };
  expect(framesOf(normaliser.readJson(body) ?? [])).toMatch(
    /"content":"Hello world."[\s\S]*"finish_reason":"stop"[\s\S]*"total_tokens":3/,
  );
  expect(normaliser.complete).toBe(true);
  expect(new Normaliser(new ChatReader("x")).readJson({ page: "<html>" })).toBeNull();
});

const event = (type: string, more: object = {}) => `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`;

describe("an implementation of the Responses API that", () => {
  const created = event("response.created", { response: { id: "r" } });
  const completed = event("response.completed", { response: { id: "r" } });
  const added = (item: object, more: object = { output_index: 0 }) =>
    event("response.output_item.added", { ...more, item });
  const said = (delta: string, more: object = { output_index: 0 }) =>
    event("response.output_text.delta", { ...more, delta });
  const call = { type: "function_call", call_id: "a", name: "add_task" };
  const milk = '{"title":"Milk"}';
  const message = { type: "message", content: [{ type: "output_text", text: "Hello world." }] };
  const good = { text: "Hello world.", finish: "stop", failed: null };
  const ran = { calls: [{ id: "a", name: "add_task", arguments: milk }], finish: "tool-calls", failed: null };

  /** The adapter's reading of the canonical form. */
  async function read(pieces: Uint8Array[]) {
    const normaliser = new Normaliser(new ResponsesReader("http://provider/v1/responses"));
    const frames = framesOf([...pieces.flatMap((piece) => normaliser.read(piece)), ...normaliser.finish(false)]);
    const fetch = async () => new Response(frames, { headers: { "content-type": "text/event-stream" } });
    const model = createOpenAI({ apiKey: "unused", fetch }).responses("scripted");
    const { stream } = await model.doStream({ prompt: [] });
    const answer = {
      text: "",
      reasoning: "",
      calls: [] as object[],
      pages: [] as string[],
      finish: "",
      tokens: 0,
      failed: normaliser.failure,
    };
    for await (const part of stream) {
      if (part.type === "text-delta") answer.text += part.delta;
      if (part.type === "reasoning-delta") answer.reasoning += part.delta;
      if (part.type === "tool-call")
        answer.calls.push({ id: part.toolCallId, name: part.toolName, arguments: part.input });
      if (part.type === "source" && part.sourceType === "url") answer.pages.push(part.url);
      if (part.type === "finish") answer.finish = part.finishReason.unified;
      if (part.type === "finish") answer.tokens = part.usage.outputTokens.total ?? 0;
      if (part.type === "error") throw part.error;
    }
    return answer;
  }

  it.each<[string, string, object]>([
    [
      "leaves out ids and times",
      created + added({ id: "m", type: "message" }) + said("Hello world.") + completed,
      good,
    ],
    ["sends no added events", said("Hello ", {}) + said("world.", {}) + completed, good],
    [
      "has the type only in the event name",
      `${created}${said("Hello world.").replace(/"type":"[^"]*",/, "")}${completed}`,
      good,
    ],
    [
      "sends pings and other things",
      `${created}event: ping\ndata: {}\n\ndata: word\n\n${said("Hello world.")}${completed}`,
      good,
    ],
    [
      "sends the text only in its final event",
      created + event("response.output_text.done", { text: "Hello world." }) + completed,
      good,
    ],
    [
      "repeats the text in its final event",
      created +
        said("Hello world.") +
        event("response.output_text.done", { output_index: 0, text: "Hello world." }) +
        event("response.output_item.done", { output_index: 0, item: message }) +
        event("response.completed", { response: { output: [message] } }),
      good,
    ],
    [
      "sends items only when they are done",
      created + event("response.output_item.done", { output_index: 0, item: message }) + completed,
      good,
    ],
    ["sends everything at the end", created + event("response.completed", { response: { output: [message] } }), good],
    ["ends only with [DONE]", `${created}${said("Hello world.")}data: [DONE]\n\n`, good],
    ["ends with response.done", created + said("Hello world.") + event("response.done", { response: {} }), good],
    [
      "has counts as strings",
      created +
        said("Hello world.") +
        event("response.completed", { response: { usage: { input_tokens: "3", output_tokens: "4" } } }),
      { ...good, tokens: 4 },
    ],
    [
      "cites pages without positions, and files",
      created +
        said("Hello world.") +
        event("response.output_text.annotation.added", { annotation: { type: "file", file: {} } }) +
        event("response.output_text.annotation.added", {
          annotation: { type: "url_citation", url: "https://a.example/" },
        }) +
        completed,
      { ...good, pages: ["https://a.example/"] },
    ],
    [
      "sends a reasoning summary without an index",
      created +
        added({ type: "reasoning", encrypted_content: 7 }) +
        event("response.reasoning_summary_part.added", { part: {} }) +
        event("response.reasoning_summary_text.delta", { delta: "Hm." }) +
        said("Hello world.", { output_index: 1 }) +
        completed,
      { ...good, reasoning: "Hm." },
    ],
    [
      "has odd details",
      created +
        added({ type: "message", phase: "odd" }) +
        said("Hello world.") +
        event("response.completed", {
          response: {
            incomplete_details: {},
            service_tier: 7,
            usage: { output_tokens: 4, input_tokens_details: { cached_tokens: "1" }, output_tokens_details: [] },
          },
        }),
      { ...good, tokens: 4 },
    ],
    [
      "sends its reasoning as text",
      created +
        added({ id: "r", type: "reasoning" }) +
        event("response.reasoning_text.delta", { output_index: 0, item_id: "r", delta: "Hm." }) +
        said("Hello world.", { output_index: 1 }) +
        completed,
      { ...good, reasoning: "Hm." },
    ],
    [
      "streams a call and never closes it",
      created +
        added(call) +
        event("response.function_call_arguments.delta", { output_index: 0, delta: milk }) +
        completed,
      ran,
    ],
    [
      "sends the arguments at the end of a call",
      created +
        added(call) +
        event("response.function_call_arguments.done", { output_index: 0, arguments: milk }) +
        completed,
      ran,
    ],
    [
      "sends a call only when it is done",
      created + event("response.output_item.done", { output_index: 0, item: { ...call, arguments: milk } }) + completed,
      ran,
    ],
    [
      "has arguments as an object",
      created + event("response.output_item.done", { item: { ...call, arguments: { title: "Milk" } } }) + completed,
      ran,
    ],
    [
      "cuts the answer off",
      created +
        said("Hello world.") +
        event("response.incomplete", { response: { incomplete_details: { reason: "max_output_tokens" } } }),
      { finish: "length" },
    ],
    ["ends without its final event", created + said("Hello "), { text: "Hello ", finish: "interrupted", failed: null }],
    [
      "has failed",
      created + said("Hello ") + event("response.failed", { response: { error: { code: "rate_limit_exceeded" } } }),
      { text: "Hello ", failed: { statusCode: 429 } },
    ],
    [
      "reports a failure without a type",
      `${created}data: {"error":{"code":"insufficient_quota"}}\n\n`,
      { failed: { statusCode: 402 } },
    ],
  ])("%s", async (_, wire, meaning) => {
    expect(await read([Buffer.from(wire)])).toMatchObject(meaning);
    expect(await read(Array.from(Buffer.from(wire), (byte) => Uint8Array.of(byte)))).toMatchObject(meaning);
  });

  it("answers with one body", async () => {
    const normaliser = new Normaliser(new ResponsesReader("http://provider/v1/responses"));
    const frames = framesOf(normaliser.readJson({ output: [message, { ...call, arguments: milk }] }) ?? []);
    expect(frames).toContain('"delta":"Hello world."');
    expect(frames).toContain('"call_id":"a"');
    expect(normaliser.complete).toBe(true);
  });

  it("counts as thinking until its first visible content", () => {
    const normaliser = new Normaliser(new ResponsesReader("x"));
    const thinking = (wire: string) => {
      normaliser.read(Buffer.from(wire));
      return normaliser.thinking;
    };
    expect(thinking(created)).toBe(true);
    expect(thinking(added({ type: "reasoning" }))).toBe(true);
    expect(thinking(added({ type: "message" }, { output_index: 1 }))).toBe(false);
  });
});
