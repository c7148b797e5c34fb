import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { richTurn } from "@/test/turn/rich-turn";
import { ChunkState } from "./chunk-state";
import type { TurnChunk } from "./chunks";
import { foldChunks, textOf } from "./fold";

const addedBy = (chunks: TurnChunk[]) => {
  const state = new ChunkState();
  return chunks.map((chunk) => state.apply(chunk)).join("");
};

describe("the text that chunks add", () => {
  it("equals the text of the message", async () => {
    expect(addedBy(richTurn)).toBe(textOf(await foldChunks(richTurn)));
  });

  it("separates parts even if a provider reuses their id, and skips empty ones", () => {
    const part = (...deltas: string[]): TurnChunk[] => [
      { type: "text-start", id: "t" },
      ...deltas.map((delta): TurnChunk => ({ type: "text-delta", id: "t", delta })),
      { type: "text-end", id: "t" },
    ];
    expect(addedBy([...part(""), ...part("One ", "", "part."), ...part(), ...part("Two.")])).toBe("One part.\n\nTwo.");
  });
});

it("follows every part of a turn to its end", () => {
  const { openTexts, openReasonings, stepOpen, steps, calls, statuses, sources, metadata } = new ChunkState(richTurn);
  expect([openTexts.size, openReasonings.size, stepOpen, steps]).toEqual([0, 0, false, 2]);
  expect(Array.from(calls, ([id, { name, dynamic, state }]) => [id, name, dynamic, state])).toEqual([
    ["ok", "weather", false, "answered"],
    ["fails", "weather", false, "answered"],
    ["asked", "search", true, "answered"],
    ["bad", "weather", false, "answered"],
  ]);
  expect(Array.from(statuses, ([stage, { state }]) => [stage, state])).toEqual([
    ["retrieve", "done"],
    ["generate", "done"],
  ]);
  expect(sources).toMatchObject([{ ordinal: 1, title: "Rivers" }]);
  expect(metadata).toMatchObject({ model: "local", status: "complete", finishReason: "stop" });
});

it("records a consent decision on its call", () => {
  const state = new ChunkState([
    { type: "tool-input-available", toolCallId: "a", toolName: "delete", input: {} },
    { type: "tool-approval-request", toolCallId: "a", approvalId: "turn.1" },
  ]);
  expect(state.calls.get("a")).toMatchObject({ state: "called", request: { id: "turn.1" } });
  state.apply({ type: "tool-approval-response", approvalId: "turn.1", approved: true });
  expect(state.calls.get("a")?.request?.approved).toBe(true);
  state.apply({ type: "tool-output-available", toolCallId: "a", output: "done" });
  expect(state.calls.get("a")?.state).toBe("answered");
});

it("knows why a turn failed, also from the terminal alone", () => {
  const error = { code: "provider_auth", message: "No.", retryable: false } as const;
  const terminal: TurnChunk = { type: "error", errorText: "No." };
  const failed: TurnChunk = { type: "data-turn", data: { turnId: "t", status: "failed", error }, transient: true };
  expect(new ChunkState([failed, terminal]).error).toEqual(error);
  expect(new ChunkState([terminal]).error).toEqual({ code: "interrupted", message: "No.", retryable: true });
});

it("keeps no text of the answer, its reasoning, its calls and their results", () => {
  const kept = inspect(new ChunkState(richTurn.slice(0, -3)), { depth: null, maxStringLength: null });
  for (const text of ["I will", "Let me", "Oslo", "degrees", "no such city"]) {
    expect(JSON.stringify(richTurn)).toContain(text);
    expect(kept).not.toContain(text);
  }
});
