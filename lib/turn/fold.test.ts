import { describe, expect, it } from "vitest";
import { richTurn } from "@/test/turn/rich-turn";
import { requireStockChunk } from "./chunk-schema";
import { ChunkState } from "./chunk-state";
import { type ChatMessage, isTerminal, type TurnChunk } from "./chunks";
import { endTurn, interruptedError } from "./ending";
import { foldChunks, textOf, unfoldMessage } from "./fold";

const turnId = "01940000-0000-7000-8000-000000000001";

/** As stored in the database: without undefined fields. */
const stored = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

async function refold(message: ChatMessage): Promise<ChatMessage> {
  const problems: unknown[] = [];
  const chunks = stored(unfoldMessage(message));
  const again = await foldChunks(chunks, (problem) => problems.push(problem));
  expect(problems).toEqual([]);
  expect(chunks.filter(isTerminal)).toEqual([chunks.at(-1)]);
  for (const chunk of chunks) await requireStockChunk(chunk);
  return stored(again);
}

describe("foldChunks", () => {
  it("I18: builds the message that a client has", async () => {
    const message = await foldChunks(richTurn);
    expect(message).toMatchObject({ id: "message-1", role: "assistant", metadata: { status: "complete" } });
    expect(textOf(message)).toBe("I will look 👀\nfor\r\n“data: [DONE]”\u2028.\n\nIt is −4 °C in Oslo [1].");
    expect(message.parts.map((part) => part.type)).toEqual([
      "data-status",
      "source-document",
      "data-status",
      "step-start",
      "reasoning",
      "text",
      "tool-weather",
      "tool-weather",
      "dynamic-tool",
      "tool-weather",
      "source-url",
      "file",
      "step-start",
      "reasoning",
      "text",
    ]);
  });

  it("keeps the message before an invalid chunk, and reports it", async () => {
    const problems: unknown[] = [];
    const good: TurnChunk[] = [
      { type: "start", messageId: "m" },
      { type: "text-start", id: "t" },
      { type: "text-delta", id: "t", delta: "kept" },
    ];
    const bad: TurnChunk[] = [
      { type: "text-delta", id: "unknown", delta: "lost" },
      { type: "text-delta", id: "t", delta: "late" },
    ];
    const message = await foldChunks([...good, ...bad], (problem) => problems.push(problem));
    expect(textOf(message)).toBe("kept");
    expect(problems).toHaveLength(1);
  });

  it("does not treat an error terminal as a fold failure", async () => {
    const problems: unknown[] = [];
    await foldChunks([{ type: "error", errorText: "No." }], (problem) => problems.push(problem));
    expect(problems).toEqual([]);
  });

  it("keeps data unless it is marked as transient", async () => {
    const data = (name: string, transient?: boolean) => ({ type: `data-${name}`, data: name, transient }) as unknown;
    const chunks = [data("kept"), data("also", false), data("dropped", true)] as TurnChunk[];
    const { parts } = await foldChunks(chunks);
    expect(parts.map(({ type }) => type)).toEqual(["data-kept", "data-also"]);
  });

  it("does not modify the chunks", async () => {
    const chunks = structuredClone(richTurn);
    await foldChunks(chunks);
    expect(chunks).toEqual(richTurn);
  });

  it("returns an empty message without chunks", async () => {
    expect(await foldChunks([])).toEqual({ id: "", role: "assistant", parts: [] });
  });
});

describe("unfoldMessage is the inverse", () => {
  it("I18: for a whole turn, and for one that ended at any of its chunks", async () => {
    for (let cut = 1; cut <= richTurn.length - 3; cut++) {
      const begin = richTurn.slice(0, cut);
      const ending = endTurn(new ChunkState(begin), { turnId, status: "interrupted", error: interruptedError });
      const message = stored(await foldChunks([...begin, ...ending]));
      expect(await refold(message)).toEqual(message);
      // Numbered backwards from the terminal's seq: must not need more chunks than the log had.
      expect(unfoldMessage(message).length).toBeLessThanOrEqual(cut + ending.length);
    }
    const message = stored(await foldChunks(richTurn));
    expect(await refold(message)).toEqual(message);
  });

  const call = { toolCallId: "c", title: "T", toolMetadata: { a: 1 }, providerExecuted: true };
  const callMeta = { callProviderMetadata: { p: { call: 1 } } };
  const resultMeta = { resultProviderMetadata: { p: { result: 1 } } };
  const request = { id: "ap", descriptor: { d: 1 }, requestReason: "costs", isAutomatic: true, signature: "s" };
  const states: Record<string, object> = {
    "input-streaming, nothing yet": { state: "input-streaming" },
    "input-streaming": { state: "input-streaming", rawInput: '{"a":[1', input: { a: [1] } },
    "input-streaming, text": { state: "input-streaming", rawInput: "a b", input: "a b", inputEncoding: "text" },
    "input-available": { state: "input-available", input: { a: 1 }, ...callMeta },
    "input-available, null": { state: "input-available", input: null },
    "approval-requested": { state: "approval-requested", input: {}, approval: request },
    "approval-responded": {
      state: "approval-responded",
      input: {},
      approval: { ...request, approved: true, reason: "fine" },
    },
    "output-available": { state: "output-available", input: { a: 1 }, output: [0, null], ...callMeta, ...resultMeta },
    "output-available, preliminary": { state: "output-available", input: "", output: null, preliminary: true },
    "output-available, approved": {
      state: "output-available",
      input: {},
      output: "",
      approval: { id: "ap", approved: true },
    },
    "output-error": { state: "output-error", input: { a: 1 }, errorText: "No.", ...callMeta, ...resultMeta },
    "output-error without input": { state: "output-error", errorText: "" },
    "output-denied": { state: "output-denied", input: {}, approval: { id: "ap", approved: false, reason: "no" } },
  };
  it.each(Object.keys(states))("for tools: %s", async (name) => {
    const parts = [
      { type: "step-start" },
      { type: "tool-weather", ...call, ...states[name] },
      { type: "dynamic-tool", toolName: "any", ...call, toolCallId: "d", ...states[name] },
    ].map((part) =>
      "approval" in part ? { ...part, approval: { ...(part.approval as object), id: part.type } } : part,
    );
    const message = { id: "m", role: "assistant", parts, metadata: { status: "complete" } } as unknown as ChatMessage;
    expect(await refold(message)).toEqual(message);
  });

  it("for a static tool whose input was cut off", async () => {
    const parts = [
      {
        type: "tool-weather",
        toolCallId: "c",
        state: "output-error",
        rawInput: '{"a":"b',
        input: { a: "b" },
        errorText: "x",
      },
      {
        type: "tool-weather",
        toolCallId: "d",
        state: "output-error",
        rawInput: "free text",
        input: "free text",
        errorText: "x",
      },
    ];
    const message = { id: "m", role: "assistant", parts, metadata: { status: "stopped" } } as unknown as ChatMessage;
    expect(await refold(message)).toEqual(message);
  });

  it("for part types identical in both forms", async () => {
    const parts = [
      { type: "custom", kind: "openai.note", providerMetadata: { p: { a: 1 } } },
      { type: "reasoning-file", url: "data:text/plain;base64,AA==", mediaType: "text/plain" },
      { type: "steering-message", id: "s", parts: [{ type: "text", text: "Shorter." }] },
      { type: "text", text: "", state: "done" },
      { type: "reasoning", id: "r", text: "", state: "done", providerMetadata: { p: { encrypted: "x" } } },
    ];
    const message = { id: "m", role: "assistant", parts, metadata: { status: "complete" } } as unknown as ChatMessage;
    expect(await refold(message)).toEqual(message);
  });

  it.each([
    ["complete", { type: "finish" }],
    ["stopped", { type: "abort", reason: "stopped" }],
    ["failed", { type: "error", errorText: "No." }],
  ] as const)("ends like the turn: %s", (status, terminal) => {
    const error = status === "failed" ? { code: "internal", message: "No.", retryable: true } : undefined;
    const metadata = { turnId, chatId: "c", model: "m", createdAt: "", status, error } as ChatMessage["metadata"];
    const chunks = unfoldMessage({ id: "m", role: "assistant", parts: [], metadata });
    expect(chunks.at(-1)).toEqual(terminal);
    expect(stored(chunks.at(-2))).toMatchObject({ type: "data-turn", data: { turnId, status }, transient: true });
  });
});
