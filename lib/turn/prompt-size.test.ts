import { jsonSchema, type ModelMessage, tool } from "ai";
import { describe, expect, it } from "vitest";
import { sizeOf, toolsText, truncateToolResults } from "./prompt-size";

const result = (output: object): ModelMessage =>
  ({
    role: "tool",
    content: [{ type: "tool-result", toolCallId: "1", toolName: "look", output }],
  }) as ModelMessage;

describe("the size of a message", () => {
  it("is its text plus a fixed overhead", () => {
    expect(sizeOf({ role: "user", content: "Why?" })).toEqual({ text: "Why?", tokens: 8 });
  });

  it("counts reasoning, calls and results as text", () => {
    const { text } = sizeOf({
      role: "assistant",
      content: [
        { type: "reasoning", text: "Let me look." },
        { type: "tool-call", toolCallId: "1", toolName: "look", input: { at: "rivers" } },
      ],
    });
    expect(text).toBe('Let me look.\nlook {"at":"rivers"}');
    expect(sizeOf(result({ type: "json", value: { found: 3 } })).text).toBe('{"found":3}');
    expect(sizeOf(result({ type: "error-text", value: "Nothing there." })).text).toBe("Nothing there.");
  });

  it("counts a file as a large one, whatever its size in bytes", () => {
    const data = "A".repeat(1_000_000);
    const file = { type: "file" as const, mediaType: "image/png", data };
    expect(sizeOf({ role: "user", content: [file] })).toEqual({ text: "", tokens: 1_508 });
  });

  it("counts a provider's signature by length, not as text", () => {
    const signed = {
      type: "reasoning" as const,
      text: "Hm.",
      providerOptions: { x: { signature: "s".repeat(4_000) } },
    };
    const { text, tokens } = sizeOf({ role: "assistant", content: [signed] });
    expect(text).toBe("Hm.");
    expect(tokens).toBeGreaterThan(1_000);
    expect(tokens).toBeLessThan(1_100);
  });
});

describe("a long tool result", () => {
  it("keeps its beginning and says how much is missing", () => {
    const { messages, count } = truncateToolResults([result({ type: "json", value: "x".repeat(5_000) })]);
    const { text } = sizeOf(messages[0] as ModelMessage);
    expect(count).toBe(1);
    expect(text.startsWith('"xxx')).toBe(true);
    expect(text).toContain("the other 3002 characters of this tool result were left out");
    expect(text.length).toBeLessThan(2_200);
  });

  it("stays a failure when it is one", () => {
    const { messages } = truncateToolResults([result({ type: "error-json", value: "x".repeat(5_000) })]);
    expect(messages[0]?.content[0]).toMatchObject({ output: { type: "error-text" } });
  });

  it("is never cut within a character", () => {
    const { messages } = truncateToolResults([
      result({ type: "text", value: `${"x".repeat(1_999)}🙂${"y".repeat(100)}` }),
    ]);
    expect(sizeOf(messages[0] as ModelMessage).text.isWellFormed()).toBe(true);
  });

  it("leaves everything else unchanged", () => {
    const short = result({ type: "text", value: "x".repeat(2_000) });
    const said: ModelMessage = { role: "assistant", content: "y".repeat(9_000) };
    expect(truncateToolResults([short, said])).toEqual({ messages: [short, said], count: 0 });
  });
});

it("the tools' text contains their names, descriptions and schemas", async () => {
  const look = tool({ description: "Looks.", inputSchema: jsonSchema({ type: "object", title: "Place" }) });
  expect(await toolsText({ look })).toBe(
    '{"name":"look","description":"Looks.","parameters":{"type":"object","title":"Place"}}',
  );
  expect(await toolsText()).toBe("");
});
