// The transcripts of the API description: each dialect's encoder renders these chunks.

import type { Dialect } from "@/lib/dialects/dialect";
import { batchEncoder } from "@/lib/dialects/encode";
import { ChunkState } from "@/lib/turn/chunk-state";
import { isTerminal, sourceChunk, type TurnChunk, type TurnError } from "@/lib/turn/chunks";
import { endTurn } from "@/lib/turn/ending";
import { foldChunks } from "@/lib/turn/fold";
import type { TurnAnswer, TurnContext } from "@/lib/turn/turn-context";

const turnId = "01940000-0000-7000-8000-000000000001";
const chatId = "01940000-0000-7000-8000-000000000002";
const userMessageId = "01940000-0000-7000-8000-000000000003";
const messageId = "01940000-0000-7000-8000-000000000004";
const documentId = "01940000-0000-7000-8000-000000000005";
const passageId = "01940000-0000-7000-8000-000000000006";
const createdAt = "2026-01-02T03:04:05.678Z";
const model = "local";
const question = "What is a rivulet?";

const context: TurnContext = {
  turnId,
  chatId,
  messageId,
  userMessageId,
  model,
  createdAt,
  view: {},
  chat: {
    number: 1,
    title: question,
    createdAt,
    updatedAt: createdAt,
    messages: [
      {
        id: userMessageId,
        role: "user",
        parts: [{ type: "text", text: question }],
        status: "complete",
        createdAt,
        metadata: null,
      },
    ],
  },
};

const searching = { stage: "retrieve", label: "Searching documents…" } as const;
const generating = { stage: "generate", label: "Generating response…" } as const;

const opening: TurnChunk[] = [
  { type: "start", messageId, messageMetadata: { turnId, chatId, model, createdAt } },
  { type: "data-turn", data: { turnId, chatId, userMessageId, status: "running" }, transient: true },
];
const found: TurnChunk[] = [
  { type: "data-status", id: "retrieve", data: { ...searching, state: "active" } },
  sourceChunk({
    sourceId: passageId,
    mediaType: "text/markdown",
    title: "Rivers",
    filename: "rivers.md",
    ordinal: 1,
    score: 0.75,
    text: "A rivulet is a very small river.",
    documentId,
    chunkId: passageId,
    metadata: { heading: "Small ones" },
  }),
  {
    type: "data-status",
    id: "retrieve",
    data: { ...searching, state: "done", detail: "1 source from 1 document" },
  },
];
const generateStarted: TurnChunk[] = [
  { type: "data-status", id: "generate", data: { ...generating, state: "active" } },
  { type: "start-step" },
];
const textChunks = (...deltas: string[]): TurnChunk[] => [
  { type: "text-start", id: "1" },
  ...deltas.map((delta): TurnChunk => ({ type: "text-delta", id: "1", delta })),
];
const toolUsed: TurnChunk[] = [
  { type: "tool-input-available", toolCallId: "call_1", toolName: "add_task", input: { title: "Buy milk" } },
  {
    type: "tool-output-available",
    toolCallId: "call_1",
    output: { id: "01940000-0000-7000-8000-000000000007", title: "Buy milk", completed: false },
  },
];
const overloaded: TurnError = {
  code: "provider_rate_limited",
  message: "The model's provider is busy. Try again in a moment.",
  retryable: true,
};

function ended(chunks: TurnChunk[], error?: TurnError): TurnChunk[] {
  const metadata = {
    usage: { inputTokens: 24, outputTokens: 14, totalTokens: 38 },
    timing: { firstTokenMs: 120, durationMs: 340, tokensPerSecond: 63.6 },
    searchMode: "all" as const,
    confidence: 0.9,
    groundedness: 1,
    finishReason: "stop" as const,
  };
  const ending = error ? ({ status: "failed", error } as const) : ({ status: "complete", metadata } as const);
  return [...chunks, ...endTurn(new ChunkState(chunks), { turnId, ...ending })];
}

const answer = ended([
  ...opening,
  ...found,
  ...generateStarted,
  ...textChunks("A rivulet is ", "a very small river [1]."),
]);
const turns = {
  answer: { summary: "An answer with a source", chunks: answer },
  tool: {
    summary: "An answer that used a tool",
    chunks: ended([...opening, ...generateStarted, ...toolUsed, ...textChunks("I added ", "“Buy milk”.")]),
  },
  failure: {
    summary: "A failure after the first byte",
    chunks: ended([...opening, ...generateStarted, ...textChunks("A rivulet")], overloaded),
  },
};

/** The example turns in this dialect's stream format, by name. */
export function transcripts(dialect: Dialect): Record<string, { summary: string; value: string }> {
  return Object.fromEntries(
    Object.entries(turns).map(([name, { summary, chunks }]) => {
      const logged = chunks.map((chunk, index) => ({ seq: index + 1, chunk, json: JSON.stringify(chunk) }));
      const blocks = batchEncoder(dialect, context, null)(logged);
      return [name, { summary, value: [": open\nretry: 1000\n", ...blocks].join("") }];
    }),
  );
}

/** The first example, for formats with a non-streamed answer. */
export async function wholeAnswer(): Promise<TurnAnswer> {
  const message = await foldChunks(answer.filter((chunk) => !isTerminal(chunk)));
  return { context, message, metadata: message.metadata ?? {} };
}
