import { describe, expect, it } from "vitest";
import type { ChatMessage, TurnChunk } from "./chunks";
import { priced, usageOf } from "./usage";

it("prices prompt and answer tokens separately, to a millionth of a dollar", () => {
  const usage = { inputTokens: 12_345, outputTokens: 678, totalTokens: 13_023 };
  expect(priced(usage, { inputUsd: 0.3, outputUsd: 2.5 })).toEqual({ ...usage, costUsd: 0.005399 });
  expect(priced(usage, { inputUsd: 0, outputUsd: 0 })).toEqual({ ...usage, costUsd: 0 });
  expect(priced(usage, undefined)).toBe(usage);
});

describe("the usage of a turn", () => {
  const generate = { type: "data-status", data: { stage: "generate" }, transient: true } as TurnChunk;
  const step: TurnChunk = { type: "start-step" };
  const parts = [
    { type: "reasoning", text: "abc" },
    { type: "text", text: "abcdef" },
    { type: "tool-clock", toolCallId: "c", state: "input-available", input: { a: 1 } },
    { type: "tool-clock", toolCallId: "d", state: "input-streaming", input: undefined },
    { type: "step-start" },
  ];
  const answer = (status: string, metadata: object = {}) =>
    ({ id: "m", role: "assistant", parts, metadata: { status, ...metadata } }) as unknown as ChatMessage;
  const counted = (totalTokens: number) => ({ usage: { inputTokens: 5, outputTokens: totalTokens - 5, totalTokens } });

  it("is the provider's figure, over all requests", () => {
    expect(usageOf([generate, step, step], answer("complete", counted(12)))).toEqual({
      tokens: 12,
      requests: 2,
      written: 0,
    });
  });

  it("is estimated if the provider reported none: three bytes are a token, also of reasoning and calls", () => {
    const estimate = { tokens: null, requests: 1, written: 1 + 2 + 3 };
    expect(usageOf([generate, step], answer("complete"))).toEqual(estimate);
    expect(usageOf([generate, step], answer("complete", counted(0)))).toEqual(estimate);
    expect(usageOf([generate, step], answer("failed"))).toEqual(estimate);
  });

  it("counts one request if the answer broke off before its first step, none if the model was not called or refused", () => {
    expect(usageOf([generate], answer("stopped"))).toMatchObject({ tokens: null, requests: 1 });
    expect(usageOf([generate], answer("failed"))).toEqual({ tokens: 0, requests: 0, written: 0 });
    const search = { type: "data-status", data: { stage: "retrieve" }, transient: true } as TurnChunk;
    expect(usageOf([search], answer("stopped"))).toEqual({ tokens: 0, requests: 0, written: 0 });
  });
});
