import { describe, expect, it } from "vitest";
import type { ChatMessage, MessageMetadata } from "./chunks";
import { promptParts, StateLimit, withoutState } from "./provider-state";

type Parts = ChatMessage["parts"];

const modelId = "openai:gpt-5";
const step = { type: "step-start" } as const;
const state = { openai: { itemId: "rs_1" } };
const reasoning = { type: "reasoning", text: "Hm.", providerMetadata: state } as const;
const text = { type: "text", text: "So.", providerMetadata: state } as const;
const call = { type: "tool-clock", toolCallId: "c", state: "output-available", input: {}, output: "12:00" } as const;

function spoken(parts: Parts, model = modelId) {
  return promptParts({ role: "assistant", parts, metadata: { model } as MessageMetadata }, modelId);
}

describe("a model", () => {
  it("gets its own reasoning back, and only text and calls of another model", () => {
    expect(spoken([step, reasoning, text])).toEqual([step, reasoning, text]);
    expect(spoken([step, reasoning, text, { ...call, callProviderMetadata: state }], "openai:gpt-5-mini")).toEqual([
      step,
      { type: "text", text: "So." },
      call,
    ]);
  });

  it("gets plain reasoning back only in answers with calls", () => {
    const plain = { type: "reasoning", text: "Hm." } as const;
    expect(spoken([step, plain, { type: "text", text: "So." }])).toEqual([step, { type: "text", text: "So." }]);
    expect(spoken([step, plain, call])).toEqual([step, plain, call]);
    expect(spoken([step, { type: "reasoning", text: "" }, call])).toEqual([step, call]);
  });

  it("does not get trailing reasoning of a step", () => {
    expect(spoken([step, reasoning, step, text, reasoning])).toEqual([step, step, text]);
    const unfinished = { type: "tool-clock", toolCallId: "c", state: "input-available", input: {} } as const;
    expect(spoken([step, reasoning, unfinished])).toEqual([step, unfinished]);
    const empty = { type: "text", text: "" } as const;
    expect(spoken([step, reasoning, empty])).toEqual([step, empty]);
  });

  it("gets a step's state at its end, unless the step has no content", () => {
    const ofStep = { type: "reasoning", text: "", providerMetadata: { rivulet: { field: "reasoning" } } } as const;
    expect(spoken([step, text, ofStep])).toEqual([step, text, ofStep]);
    expect(spoken([text, ofStep])).toEqual([text, ofStep]);
    expect(spoken([step, ofStep])).toEqual([step]);
  });

  it("gets the state a dialect attaches to a question, and no reasoning from it", () => {
    const named = { type: "text", text: "What?", providerMetadata: { openaiCompatible: { name: "Ada" } } } as const;
    const metadata = { model: modelId } as MessageMetadata;
    expect(promptParts({ role: "user", parts: [reasoning, named], metadata }, modelId)).toEqual([named]);
  });
});

it("source metadata is not state", () => {
  const source = { type: "source-url", sourceId: "1", url: "https://example.org", providerMetadata: state } as const;
  expect(withoutState(source)).toBe(source);
});

describe("the state of an answer", () => {
  const part = (characters: number, id = "r") => ({
    type: "reasoning-end",
    id,
    providerMetadata: { x: { data: "s".repeat(characters) } },
  });

  it("has a limit per part and in total", () => {
    const limit = new StateLimit();
    expect(limit.apply(part(300_000))).toEqual({ type: "reasoning-end", id: "r" });
    const kept = Array.from({ length: 6 }, () => "providerMetadata" in limit.apply(part(250_000)));
    expect(kept).toEqual([true, true, true, true, false, false]);
  });

  it("counts state once that every delta of a part repeats", () => {
    const limit = new StateLimit();
    const delta = { ...part(200_000), type: "reasoning-delta" };
    const kept = Array.from({ length: 20 }, () => "providerMetadata" in limit.apply(delta));
    expect(kept).not.toContain(false);
  });
});
