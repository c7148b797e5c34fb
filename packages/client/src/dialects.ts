// The wire formats a chat client supports (docs/protocol.md §6), one entry each. Pure;
// client-dialect.ts holds shared parts.
import { z } from "zod";
import type { ChatEvent } from "./chat-events.ts";
import {
  type ClientDialect,
  camelCaseOptions,
  chatField,
  type DecodedEvent,
  decodeByType,
  decodeFull,
  decodeWith,
  type PostRequest,
  type QuestionRequest,
  snakeCaseOptions,
  sourcesSchema,
  statusSchema,
  text,
  toolCallSchema,
  usageSchema,
} from "./client-dialect.ts";
import { aiSdk, deltas } from "./native-dialects.ts";
import { openai } from "./openai-dialect.ts";
import { parseJson } from "./stream-connection.ts";

const snapshot: ClientDialect = {
  toRequest: (question) => ({
    path: "/api/v1/chat/stream",
    body: { text: question.text, ...chatField(question), ...snakeCaseOptions(question) },
  }),
  resumePath: () => "/api/v1/chat/stream",
  decode: ({ event = "message", data }) => {
    const read = snapshotEvents[event];
    return read ? read(parseJson(data)) : [];
  },
};

const snapshotEvents: Record<string, (value: unknown) => DecodedEvent[]> = {
  snapshot: decodeWith(
    z.object({
      conversation: z.object({ id: z.string() }),
      messages: z.array(z.object({ id: z.string(), role: z.enum(["user", "assistant"]), content: z.string() })).min(1),
    }),
    ({ conversation, messages }) => [
      {
        type: "history",
        messages: messages.slice(0, -1).map(({ id, role, content }) => ({ id, role, text: content })),
      },
      { type: "metadata", metadata: { chatId: conversation.id, messageId: messages.at(-1)?.id } },
    ],
  ),
  status: decodeWith(statusSchema(), ({ label, state, detail }) => [
    { type: "status", label, done: state === "done", detail },
  ]),
  sources: decodeWith(z.object({ sources: sourcesSchema() }), ({ sources }) => [{ type: "sources", sources }]),
  message: decodeWith(
    z.object({ delta: z.string(), done: z.boolean(), stopped: z.boolean().optional() }),
    ({ delta, done, stopped }) => [...text(delta), ...(done ? [{ type: stopped ? "stopped" : "done" } as const] : [])],
  ),
  error: decodeWith(z.object({ error: z.object({ code: z.string(), message: z.string() }) }), ({ error }) => [
    { type: "error", ...error },
  ]),
};

const closing = {
  message_id: z.string(),
  conversation_id: z.string(),
  usage: usageSchema(),
  // In a stream only if the turn was started with `includeSources`.
  sources: sourcesSchema().default([]),
};
const contentEnd = decodeWith(z.object({ ...closing, content: z.string().optional() }), (end) => [
  ...(end.sources.length > 0 ? [{ type: "sources" as const, sources: end.sources }] : []),
  ...text(end.content ?? ""),
  {
    type: "metadata",
    metadata: { messageId: end.message_id, chatId: end.conversation_id, usage: end.usage },
  },
  { type: "done" },
]);
const contentRequest = (question: QuestionRequest, stream: boolean): PostRequest => ({
  path: "/api/v1/chat",
  body: {
    message: question.text,
    stream,
    ...(stream && { include_sources: true }),
    ...chatField(question),
    ...snakeCaseOptions(question),
  },
});

const content: ClientDialect = {
  toRequest: (question) => contentRequest(question, true),
  resumePath: () => "/api/v1/chat",
  decode: decodeByType({
    content: decodeWith(z.object({ content: z.string() }), (event) => text(event.content)),
    metadata: contentEnd,
    error: decodeWith(z.object({ error: z.string(), code: z.string() }), ({ error, code }) => [
      { type: "error", message: error, code },
    ]),
  }),
  fullResponse: { ask: (question) => contentRequest(question, false), decode: decodeFull(contentEnd) },
};

const toolResult = z.object({ id: z.string(), data: z.unknown() });
const agentRequest = (question: QuestionRequest, path: string): PostRequest => ({
  path: `/api/${encodeURIComponent(question.userId)}${path}`,
  body: { message: question.text, ...chatField(question), ...snakeCaseOptions(question) },
});

const agent: ClientDialect = {
  toRequest: (question) => agentRequest(question, "/chat/stream"),
  resumePath: (question) => agentRequest(question, "/chat/stream").path,
  decode: decodeByType({
    text: decodeWith(z.object({ content: z.string() }), (event) => text(event.content)),
    tool_call: decodeWith(toolCallSchema(), (call) => [{ type: "tool-call", ...call }]),
    tool_result: decodeWith(toolResult, ({ id, data }) => [{ type: "tool-result", id, result: data }]),
    error: decodeWith(z.object({ message: z.string() }), ({ message }) => [{ type: "error", message }]),
    done: () => [{ type: "done" }],
  }),
  fullResponse: {
    ask: (question) => agentRequest(question, "/chat"),
    decode: decodeFull(
      decodeWith(
        z.object({
          response: z.string(),
          conversation_id: z.string(),
          message_id: z.string(),
          tool_calls: z.array(toolCallSchema().extend(toolResult.shape)),
        }),
        (answer) => [
          ...answer.tool_calls.flatMap(({ data, ...call }): ChatEvent[] => [
            { type: "tool-call", ...call },
            { type: "tool-result", id: call.id, result: data },
          ]),
          ...text(answer.response),
          { type: "metadata", metadata: { messageId: answer.message_id, chatId: answer.conversation_id } },
          { type: "done" },
        ],
      ),
    ),
  },
};

const rag: ClientDialect = {
  needsChat: true,
  toRequest: (question) => ({
    path: ragPath(question),
    body: { question: question.text, ...snakeCaseOptions(question) },
  }),
  resumePath: ragPath,
  decode: decodeByType({
    start: decodeWith(z.object({ model: z.string() }), ({ model }) => [{ type: "metadata", metadata: { model } }]),
    status: decodeWith(z.object({ content: z.string() }), (event) => [
      { type: "status", label: event.content, done: false },
    ]),
    sources: decodeWith(z.object({ content: sourcesSchema() }), (event) =>
      event.content.length > 0 ? [{ type: "sources", sources: event.content }] : [],
    ),
    chunk: decodeWith(z.object({ content: z.string() }), (event) => text(event.content)),
    metadata: decodeWith(
      z.object({
        content: z.object({
          model: z.string(),
          confidence: z.number().nullable(),
          search_mode: z.enum(["all", "selected", "none"]).nullable(),
          usage: usageSchema(),
        }),
      }),
      ({ content: { model, confidence, search_mode, usage } }) => [
        { type: "metadata", metadata: { model, confidence, searchMode: search_mode, usage } },
      ],
    ),
    error: decodeWith(z.object({ content: z.string() }), (event) => [{ type: "error", message: event.content }]),
    done: () => [{ type: "done" }],
  }),
};

const token: ClientDialect = {
  needsChat: true,
  toRequest: (question) => ({
    path: tokenPath(question),
    body: { content: question.text, role: "user", ...camelCaseOptions(question) },
  }),
  resumePath: tokenPath,
  decode: decodeByType({
    start: decodeWith(z.object({ messageId: z.string() }), ({ messageId }) => [
      { type: "metadata", metadata: { messageId } },
    ]),
    token: decodeWith(z.object({ content: z.string() }), (event) => text(event.content)),
    end: () => [{ type: "done" }],
    error: decodeWith(z.object({ error: z.string() }), ({ error }) => [{ type: "error", message: error }]),
  }),
};

export const clientDialects = { "ai-sdk": aiSdk, text: deltas, snapshot, content, agent, rag, token, openai };
export type DialectName = keyof typeof clientDialects;

function ragPath({ chat }: QuestionRequest): string {
  return `/chat/${encodeURIComponent(String(chat))}/stream`;
}

function tokenPath({ chat }: QuestionRequest): string {
  return `/sessions/${encodeURIComponent(String(chat))}/messages/stream`;
}
