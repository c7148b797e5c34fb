import { jsonSchema, type ModelMessage, tool } from "ai";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ChatMessage, Source } from "./chunks";
import { ContextExceeded, ContextWindow, type PromptInput } from "./context-window";
import { sizeOf } from "./prompt-size";
import type { ContextPorts, ModelContext } from "./run-input";

/** One token per character: sums can be done by hand. */
function portsOf(context: ModelContext | number): ContextPorts & { counted: string[] } {
  const counted: string[] = [];
  return {
    counted,
    modelContext: () => (typeof context === "number" ? { tokens: context, known: true } : context),
    countTokens: async (text) => {
      counted.push(text);
      return text.length;
    },
    contextRefused: () => false,
  };
}

const user = (id: string, text: string): ChatMessage => ({ id, role: "user", parts: [{ type: "text", text }] });
const said = (id: string, text: string): ChatMessage => ({ id, role: "assistant", parts: [{ type: "text", text }] });
const lookedUp = (id: string, output: unknown): ChatMessage => ({
  id,
  role: "assistant",
  parts: [
    { type: "step-start" },
    { type: "tool-look", toolCallId: `call ${id}`, state: "output-available", input: { q: id }, output },
    { type: "step-start" },
    { type: "text", text: `found ${id}` },
  ] as ChatMessage["parts"],
});
const tools = { look: tool({ inputSchema: jsonSchema({ type: "object" }) }) };

const source = (ordinal: number, text: string): Source => ({
  sourceId: `${ordinal}`,
  mediaType: "text/plain",
  title: "Rivers",
  filename: "rivers.txt",
  ordinal,
  score: 1,
  text,
  documentId: "d",
  chunkId: `${ordinal}`,
  metadata: {},
});

function windowOf(conversation: Partial<PromptInput>, ports: ContextPorts): ContextWindow {
  const defaults = {
    history: [],
    historyIsCut: false,
    partialAnswer: [],
    sources: [],
    fenceCode: "5e1f0c",
    modelId: "m",
    tools: undefined,
  };
  return new ContextWindow({ ...defaults, instructions: "Be brief.", maxOutputTokens: 100, ...conversation }, ports);
}

/** `count` exchanges of 2 × (100 characters plus a message's overhead), then a question. */
function chat(count: number, answer = (id: string) => said(id, "a".repeat(100))): ChatMessage[] {
  const past = Array.from({ length: count }, (_, n) => [user(`q${n}`, "q".repeat(100)), answer(`a${n}`)]);
  return [...past.flat(), user("question", "And now?")];
}

const textsOf = (messages: ModelMessage[]) => JSON.stringify(messages);

describe("a conversation that fits", () => {
  it("is sent whole, without counting tokens", async () => {
    const ports = portsOf(10_000);
    const window = windowOf({ history: chat(10) }, ports);
    const { messages, instructions, maxOutputTokens } = await window.fit([]);
    expect({ length: messages.length, memory: window.memory, counted: ports.counted }).toEqual({
      length: 21,
      memory: null,
      counted: [],
    });
    expect({ instructions, maxOutputTokens }).toEqual({ instructions: "Be brief.", maxOutputTokens: 100 });
  });

  it("reports where it begins when the chat has earlier messages", async () => {
    const window = windowOf({ history: chat(3), historyIsCut: true }, portsOf(10_000));
    await window.fit([]);
    expect(window.memory).toEqual({ firstMessageId: "q0" });
  });

  it("is unlimited without a known context", async () => {
    const window = windowOf({ history: chat(500) }, portsOf(Number.POSITIVE_INFINITY));
    const { messages, maxOutputTokens } = await window.fit([]);
    expect({ length: messages.length, maxOutputTokens, memory: window.memory }).toEqual({
      length: 1001,
      maxOutputTokens: 100,
      memory: null,
    });
  });
});

describe("a conversation that is too long", () => {
  it("because of a file, which has no text to count", async () => {
    const image = { type: "file", mediaType: "image/png", url: "https://example.org/a.png" } as const;
    const look: ChatMessage = { id: "q0", role: "user", parts: [{ type: "text", text: "Look." }, image] };
    const window = windowOf({ history: [look, said("a0", "I see."), user("question", "And now?")] }, portsOf(1_000));
    await window.fit([]);
    expect(window.memory).toEqual({ firstMessageId: "question" });
  });

  it("drops its oldest exchanges, question and answer together", async () => {
    // An exchange takes 216 tokens.
    const window = windowOf({ history: chat(20) }, portsOf(1_000));
    const { messages } = await window.fit([]);
    expect(messages.map(({ role }) => role)).toEqual([...Array(4).fill(["user", "assistant"]).flat(), "user"]);
    expect(window.memory).toEqual({ firstMessageId: "q16" });
  });

  it("begins at the same place for several turns, so that provider prompt caches hit", async () => {
    const begins = [];
    for (let exchanges = 60; exchanges < 76; exchanges++) {
      const window = windowOf({ history: chat(exchanges) }, portsOf(6_000));
      await window.fit([]);
      begins.push(window.memory?.firstMessageId);
    }
    expect(new Set(begins).size).toBeLessThanOrEqual(3);
  });

  it("keeps calls with their results, and never exceeds the context", async () => {
    const message = fc.oneof(
      fc.record({ kind: fc.constant("text"), length: fc.nat(400) }),
      fc.record({ kind: fc.constant("tool"), length: fc.nat(6_000) }),
      fc.record({ kind: fc.constant("nothing"), length: fc.constant(0) }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(message, { maxLength: 30 }),
        fc.integer({ min: 400, max: 20_000 }),
        async (answers, context) => {
          const history = answers.flatMap(({ kind, length }, n) => {
            const output = "r".repeat(length);
            const answer =
              kind === "tool" ? [lookedUp(`a${n}`, output)] : kind === "text" ? [said(`a${n}`, output)] : [];
            return [user(`q${n}`, `question ${n}`), ...answer];
          });
          const ports = portsOf(context);
          const window = windowOf({ history: [...history, user("question", "?")], tools }, ports);
          const { messages, maxOutputTokens = 0 } = await window.fit([]);
          const ids = (type: string) =>
            messages.flatMap(({ content }) =>
              typeof content === "string"
                ? []
                : content.flatMap((part) => (part.type === type && "toolCallId" in part ? part.toolCallId : [])),
            );
          expect(ids("tool-result")).toEqual(ids("tool-call"));
          expect(messages[0]?.role).toBe("user");
          const whole = await windowOf({ history: [...history, user("question", "?")], tools }, portsOf(1e9)).fit([]);
          const roles = (each: ModelMessage[]) => each.map(({ role }) => role);
          expect(roles(messages)).toEqual(roles(whole.messages).slice(whole.messages.length - messages.length));
          const sent = messages.map(sizeOf).reduce((sum, { text, tokens }) => sum + text.length + tokens, 0);
          expect(sent + maxOutputTokens).toBeLessThanOrEqual(context);
          expect(messages.length < whole.messages.length).toBe(window.memory?.firstMessageId !== undefined);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe("tool results", () => {
  it("are shortened before an exchange is dropped, except in the newest, with a marker for the model", async () => {
    const history = chat(3, (id) => lookedUp(id, id.repeat(2_000)));
    const window = windowOf({ history, tools }, portsOf(10_000));
    const { messages } = await window.fit([]);
    const results = messages.filter(({ role }) => role === "tool").map((each) => textsOf([each]));
    expect(results.map((text) => text.includes("[Shortened: the other 2000 characters of this tool result"))).toEqual([
      true,
      true,
      false,
    ]);
    expect(window.memory).toEqual({ shortenedToolResults: 2 });
    expect(messages).toHaveLength(13);
  });

  it("are shortened in the newest exchange too when it would be dropped otherwise", async () => {
    const history = chat(1, (id) => lookedUp(id, id.repeat(2_000)));
    const window = windowOf({ history, tools }, portsOf(3_500));
    await window.fit([]);
    expect(window.memory).toEqual({ shortenedToolResults: 1 });
  });

  it("of this turn stay whole while older exchanges can be dropped, then are shortened", async () => {
    const result = (length: number): ModelMessage[] => [
      { role: "assistant", content: [{ type: "tool-call", toolCallId: "1", toolName: "look", input: {} }] },
      {
        role: "tool",
        content: [
          {
            type: "tool-result",
            toolCallId: "1",
            toolName: "look",
            output: { type: "text", value: "r".repeat(length) },
          },
        ],
      },
    ];
    const window = windowOf({ history: chat(10), tools }, portsOf(4_000));
    await window.fit([]);
    expect(window.memory).toBeNull();
    const first = await window.fit(result(3_000));
    expect(textsOf(first.messages)).toContain("r".repeat(3_000));
    expect(window.memory?.firstMessageId).toBe("q8");
    const second = await window.fit(result(9_000));
    expect(textsOf(second.messages)).toContain("[Shortened: the other 7000 characters");
    expect(window.memory).toEqual({ firstMessageId: expect.stringMatching(/^q/), shortenedToolResults: 1 });
  });
});

describe("the last question", () => {
  const sources = [source(1, "w".repeat(600)), source(2, "x".repeat(600)), source(3, "y".repeat(600))];

  it("keeps its passages while older exchanges can be dropped", async () => {
    const window = windowOf({ history: chat(10), sources }, portsOf(4_500));
    const { messages, instructions } = await window.fit([]);
    for (const { text } of sources) expect(textsOf(messages)).toContain(text);
    expect(instructions).toContain("cite each one");
    expect(window.memory).toEqual({ firstMessageId: expect.any(String) });
  });

  it("loses its last passages when it does not fit with them", async () => {
    const window = windowOf({ history: chat(1), sources }, portsOf(2_500));
    const { messages } = await window.fit([]);
    expect(textsOf(messages)).toContain(sources[0]?.text);
    expect(textsOf(messages)).not.toContain(sources[2]?.text);
    expect(window.memory).toEqual({ leftOutPassages: 1 });
  });

  it("does not mention passages when there is no room for any", async () => {
    const window = windowOf({ history: [user("question", "?".repeat(500))], sources }, portsOf(1_000));
    const { messages, instructions } = await window.fit([]);
    expect(instructions).toBe("Be brief.");
    expect(messages).toEqual([{ role: "user", content: [{ type: "text", text: "?".repeat(500) }] }]);
    expect(window.memory).toEqual({ leftOutPassages: 3 });
  });

  it("is rejected before sending when it alone exceeds a known context", async () => {
    const window = windowOf({ history: [user("question", "?".repeat(2_000))] }, portsOf(1_000));
    await expect(window.fit([])).rejects.toBeInstanceOf(ContextExceeded);
  });

  it("is sent without history when the context is only a guess", async () => {
    const history = [...chat(1).slice(0, 2), user("question", "?".repeat(2_000))];
    const window = windowOf({ history, sources }, portsOf({ tokens: 1_000, known: false }));
    const { messages, maxOutputTokens } = await window.fit([]);
    expect(messages).toHaveLength(1);
    for (const { text } of sources) expect(textsOf(messages)).toContain(text);
    expect(maxOutputTokens).toBe(100);
    expect(window.memory).toEqual({ firstMessageId: "question" });
  });
});

it("leaves room for the answer, and caps it to the rest", async () => {
  const window = windowOf({ history: chat(20), maxOutputTokens: 16_384 }, portsOf(2_000));
  const { messages, maxOutputTokens } = await window.fit([]);
  expect(maxOutputTokens).toBeGreaterThanOrEqual(500);
  expect(maxOutputTokens).toBeLessThan(2_000 - 108 * messages.length + 200);
});

it("needs one smaller request after a context overflow, not two", async () => {
  let tokens = 10_000;
  const refusals: number[] = [];
  const ports: ContextPorts = {
    ...portsOf(0),
    modelContext: () => ({ tokens, known: false }),
    contextRefused: (_, sentTokens) => {
      refusals.push(sentTokens);
      tokens = 1_000;
      return true;
    },
  };
  const window = windowOf({ history: chat(20) }, ports);
  const whole = await window.fit([]);
  expect(window.shrink(new Error("too long"))).toBe(true);
  const smaller = await window.fit([]);
  expect(smaller.messages.length).toBeLessThan(whole.messages.length);
  expect(window.shrink(new Error("too long"))).toBe(false);
  expect(refusals).toHaveLength(2);
});
