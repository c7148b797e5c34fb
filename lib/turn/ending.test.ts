import { describe, expect, it } from "vitest";
import { richTurn } from "@/test/turn/rich-turn";
import { requireStockChunk } from "./chunk-schema";
import { ChunkState } from "./chunk-state";
import { type FinalState, isTerminal } from "./chunks";
import { closeParts, endTurn, interruptedError } from "./ending";
import { foldChunks } from "./fold";

const turnId = "01940000-0000-7000-8000-000000000001";

/** Every place where a turn may be cut, and every way it may then end. */
const cuts = richTurn.slice(0, -3).map((_, index) => richTurn.slice(0, index + 1));
const ends: { status: FinalState; terminal: string }[] = [
  { status: "complete", terminal: "finish" },
  { status: "stopped", terminal: "abort" },
  { status: "failed", terminal: "error" },
  { status: "interrupted", terminal: "error" },
];

describe.each(ends)("$status", ({ status, terminal }) => {
  const error = terminal === "error" ? interruptedError : undefined;

  it("I6: closes every open part, whatever came before", async () => {
    for (const cut of cuts) {
      const turn = [...cut, ...endTurn(new ChunkState(cut), { turnId, status, error })];
      const problems: unknown[] = [];
      const message = await foldChunks(turn, (problem) => problems.push(problem));
      expect(problems).toEqual([]);
      for (const part of message.parts) {
        const { state, data } = part as { state?: string; data?: { state: string } };
        expect(["streaming", "input-streaming", "input-available"]).not.toContain(state);
        if (part.type === "data-status") expect(data?.state).toBe("done");
      }
      expect(message.metadata).toMatchObject({ status, ...(error ? { error } : {}) });
      expect(closeParts(new ChunkState(turn))).toEqual([]);
      const steps = turn.map(({ type }) => type).filter((type) => type === "start-step" || type === "finish-step");
      expect(steps).toEqual(steps.map((_, index) => (index % 2 === 0 ? "start-step" : "finish-step")));
      expect(steps.length % 2).toBe(0);
    }
  });

  it("I4: has one terminal, last, after the error class", () => {
    for (const cut of cuts) {
      const ending = endTurn(new ChunkState(cut), { turnId, status, error });
      expect(ending.filter(isTerminal)).toEqual([ending.at(-1)]);
      expect(ending.slice(-3).map((chunk) => chunk.type)).toEqual(["message-metadata", "data-turn", terminal]);
      expect(ending.at(-2)).toEqual({
        type: "data-turn",
        data: { turnId, status, ...(error ? { error } : {}) },
        transient: true,
      });
    }
  });

  it("uses the AI SDK's chunk types", async () => {
    for (const cut of cuts) {
      for (const chunk of endTurn(new ChunkState(cut), { turnId, status, error })) await requireStockChunk(chunk);
    }
  });
});

it("closes parts inside out", () => {
  const state = new ChunkState([
    { type: "data-status", id: "generate", data: { stage: "generate", label: "…", state: "active" } },
    { type: "start-step" },
    { type: "text-start", id: "t" },
    { type: "reasoning-start", id: "r" },
    { type: "tool-input-start", toolCallId: "call", toolName: "search", dynamic: true },
  ]);
  expect(closeParts(state)).toEqual([
    { type: "reasoning-end", id: "r" },
    { type: "text-end", id: "t" },
    { type: "tool-output-error", toolCallId: "call", errorText: expect.stringContaining("ended"), dynamic: true },
    { type: "finish-step" },
    { type: "data-status", id: "generate", data: { stage: "generate", label: "…", state: "done" } },
  ]);
});

it("does not close what is already closed", () => {
  expect(closeParts(new ChunkState(richTurn))).toEqual([]);
});

it("carries the turn's metadata", () => {
  const metadata = { finishReason: "stop", confidence: null } as const;
  const [first] = endTurn(new ChunkState(), { turnId, status: "complete", metadata });
  expect(first).toEqual({ type: "message-metadata", messageMetadata: { ...metadata, status: "complete" } });
});

it("sends a failure's own message, or a standard one without it", () => {
  const error = { code: "provider_auth", message: "No.", retryable: false } as const;
  expect(endTurn(new ChunkState(), { turnId, status: "failed", error }).at(-1)).toEqual({
    type: "error",
    errorText: "No.",
  });
  expect(endTurn(new ChunkState(), { turnId, status: "interrupted" }).at(-1)).toEqual({
    type: "error",
    errorText: interruptedError.message,
  });
});
