// Dialect `agent` (docs/protocol.md §6.3): text and tools as they happen; every stream ends with
// `done` and `[DONE]`.
import { type DynamicToolUIPart, getToolName, isToolUIPart, type ToolUIPart } from "ai";
import { z } from "zod";
import { ChunkState } from "@/lib/turn/chunk-state";
import type { TurnChunk } from "@/lib/turn/chunks";
import { chatReference, snakeTurnOptions } from "@/lib/turn/turn-options";
import { truncate } from "@/lib/words";
import type { Dialect, DialectFrame, RequestInput } from "./dialect";
import { asQuestion, nonBlankText, optionsOf } from "./fields";
import { contentOf, endOf, frame } from "./frames";

const body = z.object({
  message: nonBlankText,
  conversation_id: chatReference.nullish(),
  ...snakeTurnOptions,
});

const event = z.discriminatedUnion("type", [
  z.object({ type: z.literal("start"), agent: z.string() }),
  z.object({ type: z.literal("text"), content: z.string() }),
  z.object({
    type: z.literal("tool_call"),
    name: z.string(),
    status: z.literal("started"),
    id: z.string(),
    arguments: z.unknown(),
  }),
  z.object({
    type: z.literal("tool_result"),
    name: z.string(),
    id: z.string(),
    result: z.string().max(200).describe("The start of the result."),
    data: z.unknown().describe("The full result, or `{error}` after a failure."),
  }),
  z.object({ type: z.literal("error"), message: z.string() }),
  z.object({ type: z.literal("done") }),
]);
const answer = z.object({
  response: z.string(),
  conversation_id: z.string(),
  message_id: z.string(),
  tool_calls: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      arguments: z.unknown(),
      result: z.string().max(200),
      data: z.unknown(),
    }),
  ),
});
const example = { message: "Add a task: buy milk." };

/** In characters: enough to display; `data` holds the whole result. */
const maxResultLength = 200;

const parseRequest = (stream: boolean) => (input: RequestInput) => {
  const parsed = input.body as z.output<typeof body>;
  const request = { ...asQuestion(input.messageId, parsed.message), ...optionsOf(parsed) };
  return { chat: parsed.conversation_id ?? undefined, stream, request };
};

export const agent: Dialect = {
  name: "agent",
  contextScope: "turn",
  stateful: true,
  encoder: () => {
    const state = new ChunkState();
    return ({ chunk }) => {
      const added = state.apply(chunk);
      if (added) return [frame({ type: "text", content: added })];
      if (chunk.type === "start") return [frame({ type: "start", agent: "Assistant" })];
      switch (endOf(chunk)) {
        case null:
          return toolFrames(chunk, state);
        case "failed":
          return [frame({ type: "error", message: state.error?.message }), frame({ type: "done" })];
        default:
          return [frame({ type: "done" })];
      }
    };
  },
  trailer: "[DONE]",
  bare: true,
  routes: [
    {
      kind: "turn",
      path: "/api/:userId/chat/stream",
      owner: "userId",
      streams: true,
      body,
      example,
      parseRequest: parseRequest(true),
    },
    {
      kind: "turn",
      path: "/api/:userId/chat",
      owner: "userId",
      streams: false,
      body,
      example,
      answer,
      parseRequest: parseRequest(false),
      fullResponse: ({ context, message }) => ({
        response: contentOf(message),
        conversation_id: context.chatId,
        message_id: context.messageId,
        tool_calls: message.parts.flatMap((part) => (isToolUIPart(part) ? [callJson(part)] : [])),
      }),
    },
  ],
  failure: ({ message }) => ({ detail: message }),
  description: {
    summary: "Text and tools as they happen; `done` and `[DONE]` end every stream.",
    event,
    failure: z.object({ detail: z.string() }),
  },
};

function toolFrames(chunk: TurnChunk, { calls }: ChunkState): DialectFrame[] {
  switch (chunk.type) {
    case "tool-input-available":
    // Invalid arguments: the error follows as the call's result.
    case "tool-input-error":
      return [callFrame(chunk)];
    case "tool-output-available":
      // A preliminary result is superseded by the next one.
      return chunk.preliminary ? [] : [resultFrame(chunk.toolCallId, calls.get(chunk.toolCallId)?.name, chunk.output)];
    case "tool-output-error":
      return [failureFrame(chunk.toolCallId, calls.get(chunk.toolCallId)?.name, chunk.errorText)];
    default:
      return [];
  }
}

function callFrame({ toolName, toolCallId, input }: { toolName: string; toolCallId: string; input: unknown }) {
  return frame({ type: "tool_call", name: toolName, status: "started", id: toolCallId, arguments: input });
}

function resultFrame(id: string, name: string | undefined, data: unknown): DialectFrame {
  return frame({ type: "tool_result", name, id, result: summaryOf(data), data });
}

function failureFrame(id: string, name: string | undefined, error: string): DialectFrame {
  return frame({ type: "tool_result", name, id, result: summaryOf(error), data: { error } });
}

function callJson(part: ToolUIPart | DynamicToolUIPart): object {
  const call = { id: part.toolCallId, name: getToolName(part), arguments: part.input };
  if (part.state === "output-available") return { ...call, result: summaryOf(part.output), data: part.output };
  const error = part.errorText ?? "The answer ended before this tool did.";
  return { ...call, result: summaryOf(error), data: { error } };
}

function summaryOf(data: unknown): string {
  const text = typeof data === "string" ? data : (JSON.stringify(data) ?? "");
  return truncate(text, maxResultLength);
}
