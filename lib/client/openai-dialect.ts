// The client side of `openai` (docs/protocol.md §6.6): text and usage. It omits calls of the
// server's tools, and its citations carry less than sources. Pure.
import { z } from "zod";
import {
  type Asked,
  type ClientDialect,
  heard,
  on,
  parseJson,
  type Said,
  type Sent,
  snake,
  text,
} from "./client-dialect";

const openaiMessage = z.object({ content: z.string().nullish() });
const openaiUsage = z
  .object({ prompt_tokens: z.number(), completion_tokens: z.number(), total_tokens: z.number() })
  .transform((usage) => ({
    inputTokens: usage.prompt_tokens,
    outputTokens: usage.completion_tokens,
    totalTokens: usage.total_tokens,
  }))
  .nullish();
const readOpenai = on(
  z.object({
    model: z.string().optional(),
    error: z.object({ message: z.string(), code: z.string().nullish() }).optional(),
    choices: z.array(z.object({ delta: openaiMessage.optional(), message: openaiMessage.optional() })).default([]),
    usage: openaiUsage,
  }),
  ({ model, error, choices, usage }): Said[] => {
    if (error) return [{ type: "error", message: error.message, ...(error.code && { code: error.code }) }];
    const said = choices[0]?.message ?? choices[0]?.delta;
    // Usage is requested, so a chunk without a choice is the last one: `[DONE]` may be lost with
    // its connection.
    const ends = choices[0] === undefined || choices[0].message !== undefined;
    return [
      ...text(said?.content ?? ""),
      ...(ends ? [{ type: "metadata" as const, metadata: { model, usage } }, { type: "done" as const }] : []),
    ];
  },
);
const askOpenai = (asked: Asked, stream: boolean): Sent => ({
  path: "/v1/chat/completions",
  body: {
    messages: [{ role: "user", content: asked.text }],
    stream,
    ...(stream && { stream_options: { include_usage: true } }),
    ...(asked.chat !== undefined && { metadata: { chat_id: asked.chat } }),
    ...snake(asked),
  },
});

export const openai: ClientDialect = {
  ask: (asked) => askOpenai(asked, true),
  resumePath: () => "/v1/chat/completions",
  decode: ({ data }) => (data === "[DONE]" ? [{ type: "done" }] : readOpenai(parseJson(data))),
  whole: { ask: (asked) => askOpenai(asked, false), decode: heard(readOpenai) },
};
