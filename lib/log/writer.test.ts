import { expect, test } from "vitest";
import type { ChatMessage, TurnChunk } from "@/lib/turn/chunks";
import { finalRow } from "./writer";

const turnState = (status: string, error?: object) =>
  ({ type: "data-turn", data: { turnId: "t", status, ...(error && { error }) }, transient: true }) as TurnChunk;
const message = { id: "m", role: "assistant", metadata: {}, parts: [{ type: "text", text: "a\0b" }] } as unknown;

test("a turn ends in its last state, and its text column holds no NUL", () => {
  const row = finalRow([turnState("running"), turnState("complete")], message as ChatMessage);
  expect(row).toMatchObject({ state: "complete", error: null, text: "ab" });
  expect(JSON.parse(row.parts ?? "")).toEqual([{ type: "text", text: "a\0b" }]);
  const error = { code: "internal", message: "No.", retryable: true };
  const failed = finalRow([turnState("failed", error)], message as ChatMessage);
  expect([failed.state, JSON.parse(failed.error ?? "")]).toEqual(["failed", error]);
  expect(() => finalRow([], message as ChatMessage)).toThrow("state");
});
