// The client side of `openai` (docs/protocol.md §6.6): text and usage. It omits calls of the
// server's tools, and its citations carry less than sources. Pure.
import { z } from "zod";
import {
  type ClientDialect,
  type DecodedEvent,
  decodeFull,
  decodeWith,
  type PostRequest,
  type QuestionRequest,
  snakeCaseOptions,
  text,
} from "./client-dialect.ts";
import { parseJson } from "./stream-connection.ts";

const openaiMessage = z.object({ content: z.string().nullish() });
const openaiUsage = z
  .object({ prompt_tokens: z.number(), completion_tokens: z.number(), total_tokens: z.number() })
  .transform((usage) => ({
    inputTokens: usage.prompt_tokens,
    outputTokens: usage.completion_tokens,
    totalTokens: usage.total_tokens,
  }))
  .nullish();
const decodeOpenai = decodeWith(
  z.object({
    model: z.string().optional(),
    error: z.object({ message: z.string(), code: z.string().nullish() }).optional(),
    choices: z.array(z.object({ delta: openaiMessage.optional(), message: openaiMessage.optional() })).default([]),
    usage: openaiUsage,
  }),
  ({ model, error, choices, usage }): DecodedEvent[] => {
    if (error) return [{ type: "error", message: error.message, ...(error.code && { code: error.code }) }];
    const message = choices[0]?.message ?? choices[0]?.delta;
    // Usage is requested, so a chunk without a choice is the last one: `[DONE]` may be lost with
    // its connection.
    const ends = choices[0] === undefined || choices[0].message !== undefined;
    return [
      ...text(message?.content ?? ""),
      ...(ends ? [{ type: "metadata" as const, metadata: { model, usage } }, { type: "done" as const }] : []),
    ];
  },
);
const openaiRequest = (question: QuestionRequest, stream: boolean): PostRequest => ({
  path: "/v1/chat/completions",
  body: {
    messages: [{ role: "user", content: question.text }],
    stream,
    ...(stream && { stream_options: { include_usage: true } }),
    ...(question.chat !== undefined && { metadata: { chat_id: question.chat } }),
    ...snakeCaseOptions(question),
  },
});

export const openai: ClientDialect = {
  toRequest: (question) => openaiRequest(question, true),
  resumePath: () => "/v1/chat/completions",
  decode: ({ data }) => (data === "[DONE]" ? [{ type: "done" }] : decodeOpenai(parseJson(data))),
  fullResponse: { ask: (question) => openaiRequest(question, false), decode: decodeFull(decodeOpenai) },
};
