// Dialect `rag` (docs/protocol.md §6.4): progress, sources, pieces of the answer, and how well the
// sources support it.
import { z } from "zod";
import { ChunkState } from "@/lib/turn/chunk-state";
import type { TurnContext } from "@/lib/turn/turn-context";
import { snakeTurnOptions } from "@/lib/turn/turn-options";
import type { Dialect, DialectFrame } from "./dialect";
import { asQuestion, nonBlankText, optionsOf } from "./fields";
import { endOf, enteredStage, frame, showSource, showUsage } from "./frames";
import { failureShape, sourceShape, usageShape } from "./shapes";

export const ragBody = z.object({ question: nonBlankText, ...snakeTurnOptions });

const share = z.number().min(0).max(1).nullable();
const event = z.union([
  z.object({ type: z.literal("start"), session_id: z.int(), model: z.string() }),
  z.object({ type: z.enum(["status", "chunk", "error"]), content: z.string() }),
  z.object({ type: z.literal("sources"), content: z.array(sourceShape), chunks_used: z.int() }),
  z.object({
    type: z.literal("metadata"),
    content: z.object({
      model: z.string(),
      confidence: share.describe("How much of the answer its cited sources support; null without sources."),
      hallucination: share.describe("1 − confidence."),
      search_mode: z.enum(["all", "selected", "none"]).nullable(),
      total_response: z.string(),
      usage: usageShape,
    }),
  }),
  z.object({ type: z.literal("done") }),
]);

export const rag: Dialect = {
  name: "rag",
  contextScope: "chat",
  stateful: true,
  encoder: (context) => {
    const state = new ChunkState();
    let text = "";
    return ({ chunk }) => {
      const stage = enteredStage(state, chunk);
      const added = state.apply(chunk);
      text += added;
      if (added) return [frame({ type: "chunk", content: added })];
      if (chunk.type === "start")
        return [frame({ type: "start", session_id: context.chat?.number, model: context.model })];
      if (stage) return stageFrames(stage, state);
      if (chunk.type === "data-status" && chunk.data.stage === "generate" && chunk.data.state === "active")
        return [frame({ type: "status", content: chunk.data.label.replace("…", "...") })];
      const end = endOf(chunk);
      if (!end) return [];
      if (end === "failed") return [frame({ type: "error", content: state.error?.message })];
      return [frame({ type: "metadata", content: closing(state, text, context) }), frame({ type: "done" })];
    };
  },
  routes: [
    {
      kind: "turn",
      path: "/chat/:sessionId/stream",
      chat: "sessionId",
      streams: true,
      createsChatByNumber: true,
      plainText: true,
      body: ragBody,
      example: { question: "What is a rivulet?", search_mode: "all" },
      parseRequest(input) {
        const { question, ...options } = input.body as z.output<typeof ragBody>;
        return { stream: true, request: { ...asQuestion(input.messageId, question), ...optionsOf(options) } };
      },
    },
  ],
  failure: ({ code, message, requestId, details }) => ({
    type: "error",
    content: message,
    code,
    requestId,
    ...details,
  }),
  description: {
    summary: "What is being done, the sources, pieces of the answer, and how far the sources support it.",
    event,
    failure: failureShape("content"),
  },
};

/** All sources are known when the answer begins. */
function stageFrames(stage: "retrieve" | "generate", state: ChunkState): DialectFrame[] {
  if (stage === "retrieve") return [frame({ type: "status", content: "Searching documents..." })];
  const generating = frame({ type: "status", content: "Generating response..." });
  if (!state.statuses.has("retrieve")) return [generating];
  const sources = state.sources.map(showSource);
  return [frame({ type: "sources", content: sources, chunks_used: sources.length }), generating];
}

function closing({ metadata }: ChunkState, text: string, { model }: TurnContext): object {
  const confidence = metadata.confidence ?? null;
  return {
    model,
    confidence,
    // Rounded to four digits: 1 − 0.9 is not 0.1 in floating point.
    hallucination: confidence === null ? null : Math.round((1 - confidence) * 10_000) / 10_000,
    search_mode: metadata.searchMode ?? null,
    total_response: text,
    usage: showUsage(metadata),
  };
}
