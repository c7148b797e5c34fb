// Schemas of the OpenAI format as this server writes it, for the API description (docs/protocol.md
// §6.6).
import { z } from "zod";

const annotation = z.object({
  type: z.literal("url_citation"),
  url_citation: z.object({
    url: z.string().describe("A page, or the path of a document on this server."),
    title: z.string(),
    start_index: z.int().describe("Position of the citation in the text."),
    end_index: z.int(),
  }),
});
const toolCall = z.object({
  id: z.string(),
  type: z.literal("function"),
  function: z.object({ name: z.string(), arguments: z.string().describe("JSON.") }),
});
export const usage = z
  .object({
    prompt_tokens: z.int(),
    completion_tokens: z.int(),
    total_tokens: z.int(),
    prompt_tokens_details: z.object({ cached_tokens: z.int() }).optional(),
    completion_tokens_details: z.object({ reasoning_tokens: z.int() }).optional(),
  })
  .nullable();
const logprobs = z
  .object({ content: z.array(z.json()), refusal: z.null() })
  .nullable()
  .describe("With `logprobs`, as the provider sent them. A stream has all of them in one chunk before the last.");
const finish = z.enum(["stop", "length", "content_filter", "tool_calls", "function_call"]);
const functionCall = z.object({ name: z.string(), arguments: z.string() }).optional().describe("With `functions`.");
const identity = { id: z.string(), created: z.int().describe("Seconds since 1970."), model: z.string() };

export const failure = z.object({
  error: z.object({
    message: z.string(),
    type: z.enum(["invalid_request_error", "requests", "server_error"]),
    param: z.string().nullable(),
    code: z.string().nullable(),
  }),
});

export const completionChunk = z.object({
  ...identity,
  object: z.literal("chat.completion.chunk"),
  choices: z.array(
    z.object({
      index: z.literal(0),
      delta: z.object({
        role: z.literal("assistant").optional(),
        content: z.string().optional(),
        reasoning_content: z.string().optional(),
        annotations: z.array(annotation).optional(),
        tool_calls: z.array(toolCall.extend({ index: z.int() })).optional(),
        function_call: functionCall,
      }),
      logprobs,
      finish_reason: finish.nullable(),
    }),
  ),
  usage: usage.optional().describe("With `stream_options.include_usage`; a value in the last chunk only."),
});

export const completion = z.object({
  ...identity,
  object: z.literal("chat.completion"),
  choices: z.array(
    z.object({
      index: z.literal(0),
      message: z.object({
        role: z.literal("assistant"),
        content: z.string().nullable(),
        reasoning_content: z.string().optional(),
        refusal: z.null(),
        annotations: z.array(annotation),
        tool_calls: z.array(toolCall).optional(),
        function_call: functionCall,
      }),
      logprobs,
      finish_reason: finish,
    }),
  ),
  usage,
});

export const model = z.object({
  id: z.string(),
  object: z.literal("model"),
  created: z.literal(0),
  owned_by: z.string(),
});

export const modelList = z.object({ object: z.literal("list"), data: z.array(model) });
