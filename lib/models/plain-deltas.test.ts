// The fast path must read every event exactly like the slow path.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Item, JsonObject } from "./answer-events";
import { ChatReader } from "./chat-reader";
import { PlainDeltas } from "./plain-deltas";

const url = "http://provider/v1/chat/completions";

function chunkOf(delta: object, more: object = {}): JsonObject {
  return { id: "c", object: "chat.completion.chunk", choices: [{ index: 0, delta, finish_reason: null }], ...more };
}

function learnt(delta: object, more?: object): PlainDeltas {
  const plain = new PlainDeltas();
  const chunk = chunkOf(delta, more);
  plain.learn(JSON.stringify(chunk), chunk);
  return plain;
}

const dataOf = (delta: object, more?: object) => JSON.stringify(chunkOf(delta, more));

describe("an event that differs from the previous one only in its text", () => {
  it.each<[string, object, object]>([
    ["OpenAI's", { content: "Hello" }, {}],
    ["with a role in each delta, as Ollama's", { role: "assistant", content: "Hello" }, {}],
    ["with null fields", { content: "Hello", reasoning_content: null, tool_calls: null }, { usage: null }],
    ["with its own text elsewhere", { content: "Hello" }, { id: "Hello", model: '"content":"Hello"' }],
  ])("is read without JSON.parse: %s", (_name, delta, more) => {
    const plain = learnt(delta, more);
    expect(plain.read(dataOf({ ...delta, content: " wörld <b>" }, more))).toBe(" wörld <b>");
    expect(plain.read(dataOf({ ...delta, content: "" }, more))).toBe("");
  });

  it.each<[string, object, object]>([
    ["a quotation mark", { content: 'a "b"' }, {}],
    ["a line break", { content: "a\nb" }, {}],
    ["a backslash", { content: "a\\" }, {}],
    ["another id", { content: "a" }, { id: "d" }],
    ["a finish reason", { content: "a" }, { choices: [{ index: 0, delta: { content: "a" }, finish_reason: "stop" }] }],
    ["usage", { content: "a" }, { usage: { total_tokens: 1 } }],
    ["a second field", { content: "a", reasoning: "b" }, {}],
  ])("is parsed in full when it has %s", (_name, delta, more) => {
    expect(learnt({ content: "Hello" }).read(dataOf(delta, more))).toBeNull();
  });

  it.each<[string, object, object]>([
    ["usage", { content: "Hello" }, { usage: { total_tokens: 1 } }],
    ["reasoning", { content: "Hello", reasoning: "Hm." }, {}],
    ["a list of contents", { content: ["Hello"] }, {}],
    ["an error", { content: "Hello" }, { error: { code: 500 } }],
    ["cited pages", { content: "Hello" }, { citations: ["http://page.example"] }],
    ["an unrecognised field", { content: "Hello" }, { novel: 1 }],
  ])("is not learned from one with %s", (_name, delta, more) => {
    expect(learnt(delta, more).read(dataOf(delta, more))).toBeNull();
  });

  it("is not learned when its text spans two strings", () => {
    const data = '{"content":"x","y":"z","choices":[{"delta":{"content":","}}]}';
    const plain = new PlainDeltas();
    plain.learn(data, JSON.parse(data));
    expect(plain.read(data)).toBeNull();
  });
});

const textArbitrary = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.constantFrom("", "Hello", " ", "content", '"', "\\", "\n", ",", "}", "<think>", "</think>", "assistant", "\u2028"),
);
const deltaArbitrary = fc.oneof(
  { weight: 6, arbitrary: textArbitrary.map((content) => ({ content })) },
  { weight: 2, arbitrary: textArbitrary.map((content) => ({ role: "assistant", content })) },
  { weight: 1, arbitrary: textArbitrary.map((reasoning) => ({ content: "a", reasoning })) },
  { weight: 1, arbitrary: textArbitrary.map((content) => ({ content, refusal: null, tool_calls: [{ index: 0 }] })) },
);
const moreArbitrary = fc.constantFrom<object>(
  {},
  {},
  {},
  { id: "d" },
  { usage: null },
  { usage: { total_tokens: 1 } },
  { id: "Hello", model: '"content":"Hello"' },
  { x_groq: { usage: { total_tokens: 2 } } },
  { citations: ["http://page.example"] },
  { choices: [{ index: 0, delta: { content: "end" }, finish_reason: "stop" }] },
  { error: "no" },
);

it("answers have the same meaning with and without the fast path", () => {
  const event = fc.record({ delta: deltaArbitrary, more: moreArbitrary, spaced: fc.boolean() });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 30 }), (events) => {
      const chunks = events.map(({ delta, more }) => chunkOf(delta, more));
      const alike = chunks.map((chunk, index) => JSON.stringify(chunk, null, events[index]?.spaced ? 1 : 0));
      const different = chunks.map((chunk, index) => JSON.stringify({ index, ...chunk }));
      expect(meaningOf(alike)).toEqual(meaningOf(different));
    }),
    { numRuns: 500 },
  );
});

function meaningOf(events: string[]) {
  const reader = new ChatReader(url);
  const seen = (item: Item) => ({ ...item, ...("frame" in item && { frame: frameOf(item) }) });
  return [
    ...events.map((data) => ({ items: reader.read({ name: undefined, data }).map(seen), thinking: reader.thinking })),
    { items: reader.finish(false).map(seen), thinking: reader.thinking },
  ];
}

function frameOf(item: Extract<Item, { frame: unknown }>): string {
  return item.type === "delta" ? item.frame(item.text) : item.frame;
}
