// Test data for packages/client: a scripted turn with every kind of part, and its wire form.
import type { ChatMessage, MessageMetadata, TurnChunk } from "@/lib/turn/chunks";

export const turnId = "0199aaaa-0000-7000-8000-000000000001";
export const chatId = "chat-0001";
export const messageId = "0199aaaa-0000-7000-8000-000000000002";

const turnMetadata = { turnId, chatId, model: "local", createdAt: "2026-11-21T01:00:00.000Z" };

/** A short answer with characters of two, three and four bytes. */
export const shortTurn: TurnChunk[] = [
  { type: "start", messageId, messageMetadata: turnMetadata },
  { type: "data-turn", data: { turnId, chatId, userMessageId: "user-0001", status: "running" }, transient: true },
  { type: "start-step" },
  { type: "text-start", id: "t" },
  { type: "text-delta", id: "t", delta: "Grüße: “日本”" },
  { type: "text-delta", id: "t", delta: " 🌊\nline two\u2028three" },
  { type: "text-end", id: "t" },
  { type: "finish-step" },
  { type: "message-metadata", messageMetadata: { status: "complete" } as MessageMetadata },
  { type: "data-turn", data: { turnId, status: "complete" }, transient: true },
  { type: "finish" },
];

const source = (ordinal: number): TurnChunk => ({
  type: "source-document",
  sourceId: `passage-${ordinal}`,
  mediaType: "text/markdown",
  title: `Document ${ordinal}`,
  filename: `document-${ordinal}.md`,
  providerMetadata: { retrieval: { ordinal, score: 0.5, text: "…", documentId: "d", chunkId: "c", metadata: {} } },
});

/** Sources, status, reasoning, tools that succeed and fail, and text, over three steps. */
export const richTurn: TurnChunk[] = [
  { type: "start", messageId, messageMetadata: turnMetadata },
  { type: "data-turn", data: { turnId, chatId, userMessageId: "user-0001", status: "running" }, transient: true },
  { type: "data-status", id: "retrieve", data: { stage: "retrieve", label: "Searching documents…", state: "active" } },
  source(1),
  source(2),
  {
    type: "data-status",
    id: "retrieve",
    data: { stage: "retrieve", label: "Searching documents…", state: "done", detail: "2 sources from 2 documents" },
  },
  { type: "data-status", id: "generate", data: { stage: "generate", label: "Generating response…", state: "active" } },
  { type: "start-step" },
  { type: "reasoning-start", id: "r" },
  { type: "reasoning-delta", id: "r", delta: "Hm. " },
  { type: "reasoning-delta", id: "r", delta: "A tool." },
  { type: "reasoning-end", id: "r" },
  { type: "text-start", id: "a" },
  { type: "text-delta", id: "a", delta: "Let me " },
  { type: "text-delta", id: "a", delta: "look." },
  { type: "text-end", id: "a" },
  { type: "tool-input-start", toolCallId: "call-1", toolName: "calculate" },
  { type: "tool-input-delta", toolCallId: "call-1", inputTextDelta: '{"expression":' },
  { type: "tool-input-delta", toolCallId: "call-1", inputTextDelta: '"6*7"}' },
  { type: "tool-input-available", toolCallId: "call-1", toolName: "calculate", input: { expression: "6*7" } },
  { type: "tool-output-available", toolCallId: "call-1", output: { value: 42 } },
  { type: "finish-step" },
  { type: "start-step" },
  { type: "tool-input-available", toolCallId: "call-2", toolName: "search", input: { q: "x" }, dynamic: true },
  { type: "tool-output-error", toolCallId: "call-2", errorText: "Nothing found.", dynamic: true },
  { type: "finish-step" },
  { type: "start-step" },
  { type: "text-start", id: "a" },
  { type: "text-delta", id: "a", delta: "It is " },
  { type: "text-delta", id: "a", delta: "42 [1]." },
  { type: "text-end", id: "a" },
  { type: "finish-step" },
  {
    type: "data-status",
    id: "generate",
    data: { stage: "generate", label: "Generating response…", state: "done" },
  },
  {
    type: "message-metadata",
    messageMetadata: {
      status: "complete",
      usage: { inputTokens: 10, outputTokens: 20, totalTokens: 30 },
      timing: { firstTokenMs: 5, durationMs: 50, tokensPerSecond: 400 },
      searchMode: "all",
      confidence: 0.5,
    } as MessageMetadata,
  },
  { type: "data-turn", data: { turnId, status: "complete" }, transient: true },
  { type: "finish" },
];

export const preamble = ": heartbeat\nretry: 1000\n";

/** Frames as the server writes them: data, then id. Chunk k (from 0) has seq k + 1. */
export function frames(chunks: TurnChunk[], from = 0): string {
  return chunks.map((chunk, index) => `data: ${JSON.stringify(chunk)}\nid: ${turnId}.${from + index + 1}\n\n`).join("");
}

/** The stream after a cursor, as the server would respond to `?after=`. */
export function streamAfter(chunks: TurnChunk[], cursor: string | null): string {
  const seq = cursor === null ? 0 : Number(cursor.slice(turnId.length + 1));
  return `${preamble}${frames(chunks.slice(seq), seq)}data: [DONE]\n\n`;
}

/** The response to `GET /api/turns/{id}`. */
export function turnState(status: string): object {
  const ended = status === "running" ? null : "2026-11-21T01:00:01.000Z";
  return {
    ...{ turnId, chatId, messageId, userMessageId: "user-0001", status },
    ...{ createdAt: turnMetadata.createdAt, endedAt: ended },
  };
}

/** A message after the database's JSON round trip. */
export function stored(message: ChatMessage | undefined): ChatMessage {
  return JSON.parse(JSON.stringify(message));
}
