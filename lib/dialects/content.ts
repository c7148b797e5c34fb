// Dialect `content` (docs/protocol.md §6.2): pieces of content, then one frame with the ids and
// usage.
import { z } from "zod";
import { ChunkState } from "@/lib/turn/chunk-state";
import { chatReference, snakeTurnOptions } from "@/lib/turn/turn-options";
import type { Dialect } from "./dialect";
import { asQuestion, nonBlankText, optionsOf } from "./fields";
import { contentOf, endOf, frame, showSource, showUsage, sourcesOf } from "./frames";
import { piecesOf } from "./segments";
import { failureShape, sourceShape, usageShape } from "./shapes";

const body = z.object({
  conversation_id: chatReference.nullish(),
  message: nonBlankText,
  stream: z.boolean().nullish(),
  include_sources: z
    .boolean()
    .nullish()
    .describe("Adds the sources to the last event, which may then exceed a TCP segment."),
  ...snakeTurnOptions,
});

const known = {
  message_id: z.string(),
  conversation_id: z.string(),
  usage: usageShape,
};
const sources = z.array(sourceShape);
const event = z.discriminatedUnion("type", [
  z.object({ type: z.literal("content"), content: z.string() }),
  z
    .object({ type: z.literal("metadata"), ...known, sources: sources.optional() })
    .describe("The last event of an answer; has `sources` if `include_sources` was set."),
  z.object({ type: z.literal("error"), error: z.string(), code: z.string() }),
]);

export const content: Dialect = {
  name: "content",
  contextScope: "turn",
  stateful: true,
  encoder: (context) => {
    const state = new ChunkState();
    return ({ chunk }) => {
      const added = state.apply(chunk);
      if (added) return piecesOf(added).map((piece) => frame({ type: "content", content: piece }));
      const end = endOf(chunk);
      if (!end) return [];
      if (end === "failed") return [frame({ type: "error", error: state.error?.message, code: state.error?.code })];
      const { messageId, chatId, view } = context;
      return [
        frame({
          type: "metadata",
          message_id: messageId,
          conversation_id: chatId,
          usage: showUsage(state.metadata),
          ...(view.includeSources && { sources: state.sources.map(showSource) }),
        }),
      ];
    };
  },
  segmented: true,
  routes: [
    {
      kind: "turn",
      path: "/api/v1/chat",
      streams: true,
      body,
      example: { message: "What is a rivulet?", stream: true },
      answer: z.object({ ...known, content: z.string(), sources }),
      parseRequest({ body: parsed, accept, messageId }) {
        const request = parsed as z.output<typeof body>;
        return {
          chat: request.conversation_id ?? undefined,
          stream: request.stream ?? accept.includes("text/event-stream"),
          request: {
            ...asQuestion(messageId, request.message),
            ...(request.include_sources && { view: { includeSources: true } }),
            ...optionsOf(request),
          },
        };
      },
      fullResponse: ({ context, message, metadata }) => ({
        message_id: context.messageId,
        conversation_id: context.chatId,
        content: contentOf(message),
        usage: showUsage(metadata),
        sources: sourcesOf(message).map(showSource),
      }),
    },
  ],
  failure: ({ code, message, requestId, details }) => ({ type: "error", error: message, code, requestId, ...details }),
  description: {
    summary: "Pieces of content, then one event with the ids and the usage.",
    event,
    failure: failureShape("error"),
  },
};
