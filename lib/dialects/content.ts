// Dialect `content` (docs/protocol.md §6.2): pieces of content, then one frame with all that is known of the answer.
import { z } from "zod";
import type { MessageMetadata, Source } from "@/lib/turn/chunks";
import { chatReference, snakeTurnOptions } from "@/lib/turn/turn-options";
import type { Dialect } from "./contract";
import { optionsOf, someText } from "./fields";
import { contentOf, endOf, frame, Seen, showSource, showUsage, sourcesOf } from "./seen";
import { failureShape, sourceShape, usageShape } from "./shapes";

const body = z.object({
  conversation_id: chatReference.nullish(),
  message: someText,
  stream: z.boolean().nullish(),
  ...snakeTurnOptions,
});

const known = {
  message_id: z.string(),
  conversation_id: z.string(),
  usage: usageShape,
  sources: z.array(sourceShape),
};
const event = z.discriminatedUnion("type", [
  z.object({ type: z.literal("content"), content: z.string() }),
  z.object({ type: z.literal("metadata"), ...known }).describe("The last event of an answer."),
  z.object({ type: z.literal("error"), error: z.string(), code: z.string() }),
]);

export const content: Dialect = {
  name: "content",
  knows: "turn",
  remembers: true,
  encoder: (context) => {
    const seen = new Seen();
    return ({ chunk }) => {
      const added = seen.see(chunk);
      if (added) return [frame({ type: "content", content: added })];
      const end = endOf(chunk);
      if (!end) return [];
      if (end === "failed") return [frame({ type: "error", error: seen.error?.message, code: seen.error?.code })];
      const { messageId, chatId } = context;
      return [
        frame({
          type: "metadata",
          message_id: messageId,
          conversation_id: chatId,
          ...closing(seen.metadata, seen.sources),
        }),
      ];
    };
  },
  routes: [
    {
      kind: "turn",
      path: "/api/v1/chat",
      streams: true,
      body,
      example: { message: "What is a rivulet?", stream: true },
      answer: z.object({ ...known, content: z.string() }),
      ask({ body: parsed, accept }) {
        const asked = parsed as z.output<typeof body>;
        return {
          chat: asked.conversation_id ?? undefined,
          say: asked.message,
          stream: asked.stream ?? accept.includes("text/event-stream"),
          ...optionsOf(asked),
        };
      },
      whole: ({ context, message, metadata }) => ({
        message_id: context.messageId,
        conversation_id: context.chatId,
        content: contentOf(message),
        ...closing(metadata, sourcesOf(message)),
      }),
    },
  ],
  failure: ({ code, message, requestId, details }) => ({ type: "error", error: message, code, requestId, ...details }),
  describes: {
    summary: "Pieces of content, then one event with all that is known of the answer.",
    event,
    failure: failureShape("error"),
  },
};

function closing(metadata: Partial<MessageMetadata>, sources: Source[]) {
  return { usage: showUsage(metadata), sources: sources.map(showSource) };
}
