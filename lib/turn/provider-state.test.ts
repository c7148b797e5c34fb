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
  it("gets its own reasoning back, and nothing of another model's but words and calls", () => {
    expect(spoken([step, reasoning, text])).toEqual([step, reasoning, text]);
    expect(spoken([step, reasoning, text, { ...call, callProviderMetadata: state }], "openai:gpt-5-mini")).toEqual([
      step,
      { type: "text", text: "So." },
      call,
    ]);
  });

  it("gets plain reasoning back in answers with calls only", () => {
    const plain = { type: "reasoning", text: "Hm." } as const;
    expect(spoken([step, plain, { type: "text", text: "So." }])).toEqual([step, { type: "text", text: "So." }]);
    expect(spoken([step, plain, call])).toEqual([step, plain, call]);
  });

  it("does not get reasoning that nothing follows in its step", () => {
    expect(spoken([step, reasoning, step, text, reasoning])).toEqual([step, step, text]);
    const unfinished = { type: "tool-clock", toolCallId: "c", state: "input-available", input: {} } as const;
    expect(spoken([step, reasoning, unfinished])).toEqual([step, unfinished]);
  });

  it("gets the state of a whole step, which stands at its end, unless the step says nothing", () => {
    const ofStep = { type: "reasoning", text: "", providerMetadata: { rivulet: { field: "reasoning" } } } as const;
    expect(spoken([step, text, ofStep])).toEqual([step, text, ofStep]);
    expect(spoken([step, ofStep])).toEqual([step]);
  });

  it("gets what a client's door puts beside its question, and no reasoning out of it", () => {
    const named = { type: "text", text: "What?", providerMetadata: { openaiCompatible: { name: "Ada" } } } as const;
    const metadata = { model: modelId } as MessageMetadata;
    expect(promptParts({ role: "user", parts: [reasoning, named], metadata }, modelId)).toEqual([named]);
  });
});

it("the metadata of sources is no state", () => {
  const source = { type: "source-url", sourceId: "1", url: "https://example.org", providerMetadata: state } as const;
  expect(withoutState(source)).toBe(source);
});

describe("the state of an answer", () => {
  const part = (characters: number, id = "r") => ({
    type: "reasoning-end",
    id,
    providerMetadata: { x: { data: "s".repeat(characters) } },
  });

  it("has a ceiling for each part and for all of them", () => {
    const limit = new StateLimit();
    expect(limit.apply(part(300_000))).toEqual({ type: "reasoning-end", id: "r" });
    const kept = Array.from({ length: 6 }, () => "providerMetadata" in limit.apply(part(250_000)));
    expect(kept).toEqual([true, true, true, true, false, false]);
  });

  it("counts once what each delta of a part repeats", () => {
    const limit = new StateLimit();
    const delta = { ...part(200_000), type: "reasoning-delta" };
    const kept = Array.from({ length: 20 }, () => "providerMetadata" in limit.apply(delta));
    expect(kept).not.toContain(false);
  });
});
