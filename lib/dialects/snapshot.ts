// Dialect `snapshot` (docs/protocol.md §6.1): the conversation as one event, then deltas. Status
// and sources are named events, invisible to clients that listen for plain messages only.
import { z } from "zod";
import { ChunkState } from "@/lib/turn/chunk-state";
import type { MessageMetadata } from "@/lib/turn/chunks";
import type { StoredMessage, TurnContext } from "@/lib/turn/turn-context";
import { chatReference, snakeTurnOptions } from "@/lib/turn/turn-options";
import type { Dialect } from "./dialect";
import { asQuestion, nonBlankText, optionsOf } from "./fields";
import { contentOf, endOf, enteredStage, frame, showSource, showUsage } from "./frames";
import { sourceShape, time } from "./shapes";

const body = z.object({
  text: nonBlankText.max(16_000),
  conversation_id: chatReference.nullish(),
  metadata: z
    .looseObject({
      client: z.string().nullish(),
      tags: z.array(z.string()).optional(),
      extras: z.record(z.string(), z.unknown()).optional(),
    })
    .nullish(),
  ...snakeTurnOptions,
});

const message = z.object({
  id: z.string(),
  role: z.enum(["user", "assistant"]),
  content: z.string(),
  status: z.enum(["streaming", "complete", "stopped", "failed", "interrupted"]),
  created_at: time,
  client_metadata: z.unknown().describe("Metadata sent with the user message, unchanged."),
  provider_meta: z.looseObject({ model: z.string().optional() }).nullable(),
});

const event = z.union([
  z.object({ delta: z.string(), done: z.boolean(), stopped: z.literal(true).optional() }),
  z
    .object({
      conversation: z.object({ id: z.string(), title: z.string(), created_at: time, updated_at: time }),
      messages: z.array(message),
    })
    .describe("`event: snapshot`: the whole chat, with the new question and an empty answer."),
  z
    .object({ stage: z.string(), label: z.string(), state: z.enum(["active", "done"]), detail: z.string().optional() })
    .describe("`event: status`"),
  z.object({ sources: z.array(sourceShape) }).describe("`event: sources`"),
  z
    .object({ error: z.object({ code: z.string(), message: z.string() }), done: z.literal(true) })
    .describe("`event: error`"),
]);

export const snapshot: Dialect = {
  name: "snapshot",
  contextScope: "branch",
  stateful: true,
  encoder: (context) => {
    const state = new ChunkState();
    return ({ chunk }) => {
      const stage = enteredStage(state, chunk);
      const delta = state.apply(chunk);
      if (delta) return [frame({ delta, done: false })];
      if (chunk.type === "start") return [{ event: "snapshot", ...frame(snapshotOf(context)) }];
      if (chunk.type === "data-status") {
        const { sinceMs: _, ...status } = chunk.data;
        const frames = [{ event: "status", ...frame(status) }];
        if (stage === "generate" && state.statuses.has("retrieve"))
          frames.unshift({ event: "sources", ...frame({ sources: state.sources.map(showSource) }) });
        return frames;
      }
      switch (endOf(chunk)) {
        case "complete":
          return [frame({ delta: "", done: true })];
        case "stopped":
          return [frame({ delta: "", done: true, stopped: true })];
        case "failed":
          return [
            {
              event: "error",
              ...frame({ error: { code: state.error?.code, message: state.error?.message }, done: true }),
            },
          ];
        default:
          return [];
      }
    };
  },
  routes: [
    {
      kind: "turn",
      path: "/api/v1/chat/stream",
      streams: true,
      body,
      example: { text: "What is a rivulet?", metadata: { client: "docs" } },
      parseRequest(input) {
        const request = input.body as z.output<typeof body>;
        return {
          chat: request.conversation_id ?? undefined,
          stream: true,
          request: {
            ...asQuestion(input.messageId, request.text),
            metadata: request.metadata ?? undefined,
            ...optionsOf(request),
          },
        };
      },
    },
  ],
  description: { summary: "The conversation as one event, then pieces of the answer.", event },
};

function snapshotOf({ chatId, chat, messageId, createdAt, model }: TurnContext): object {
  if (!chat) throw new Error("the snapshot needs the chat");
  const answer = { id: messageId, role: "assistant", content: "", status: "streaming", created_at: createdAt };
  return {
    conversation: { id: chatId, title: chat.title, created_at: chat.createdAt, updated_at: chat.updatedAt },
    messages: [...chat.messages.map(showMessage), { ...answer, client_metadata: null, provider_meta: { model } }],
  };
}

function showMessage({ id, role, parts, status, createdAt, metadata }: StoredMessage): object {
  const shown = { id, role, content: contentOf({ parts }), status, created_at: createdAt };
  if (role === "user") return { ...shown, client_metadata: metadata ?? null, provider_meta: null };
  const { model, finishReason, error, ...turn } = (metadata ?? {}) as Partial<MessageMetadata>;
  const meta = { model, usage: showUsage(turn), finish_reason: finishReason ?? null, error: error ?? null };
  return { ...shown, client_metadata: null, provider_meta: meta };
}
