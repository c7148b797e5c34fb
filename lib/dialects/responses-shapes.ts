// Schemas of the Responses format as this server writes it, for the API description
// (docs/protocol.md §6.7).
import { z } from "zod";

const status = z.enum(["in_progress", "completed", "incomplete"]);
const annotation = z.object({
  type: z.literal("url_citation"),
  start_index: z.int(),
  end_index: z.int(),
  url: z.string(),
  title: z.string(),
});
const outputText = z.object({
  type: z.literal("output_text"),
  annotations: z.array(annotation),
  logprobs: z.array(z.never()),
  text: z.string(),
});
const summaryText = z.object({ type: z.literal("summary_text"), text: z.string() });

const outputItem = z.discriminatedUnion("type", [
  z.object({
    id: z.string(),
    type: z.literal("message"),
    status,
    role: z.literal("assistant"),
    content: z.array(outputText),
  }),
  z.object({
    id: z.string(),
    type: z.literal("reasoning"),
    summary: z.array(summaryText),
    encrypted_content: z
      .string()
      .optional()
      .describe('With `include: ["reasoning.encrypted_content"]`: by which this server finds the reasoning again.'),
  }),
  z.object({
    id: z.string(),
    type: z.literal("function_call"),
    status,
    arguments: z.string().describe("JSON."),
    call_id: z.string(),
    name: z.string(),
  }),
  z
    .object({
      id: z.string(),
      type: z.literal("mcp_call"),
      status: z.enum([...status.options, "failed"]),
      approval_request_id: z.null(),
      arguments: z.string(),
      error: z.string().nullable(),
      name: z.string(),
      output: z.string().nullable(),
      server_label: z.literal("rivulet"),
    })
    .describe("A tool that ran on this server."),
]);

export const responseShape = z.looseObject({
  id: z.string(),
  object: z.literal("response"),
  created_at: z.int().describe("Seconds since 1970."),
  status: z.enum(["in_progress", "completed", "incomplete", "failed", "cancelled"]),
  background: z.boolean(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
  incomplete_details: z.object({ reason: z.enum(["max_output_tokens", "content_filter", "cancelled"]) }).nullable(),
  instructions: z.string().nullable(),
  model: z.string(),
  output: z.array(outputItem),
  store: z.boolean(),
  usage: z
    .object({
      input_tokens: z.int(),
      input_tokens_details: z.object({ cached_tokens: z.int() }),
      output_tokens: z.int(),
      output_tokens_details: z.object({ reasoning_tokens: z.int() }),
      total_tokens: z.int(),
    })
    .nullable(),
});

const numbered = { sequence_number: z.int() };
const place = { ...numbered, item_id: z.string(), output_index: z.int() };
const inText = { ...place, content_index: z.int() };
const inSummary = { ...place, summary_index: z.int() };
const item = { ...numbered, output_index: z.int(), item: outputItem };
const events = <const T extends string>(types: readonly T[], shape: z.ZodRawShape) =>
  z.object({ type: z.enum(types), ...shape });

export const eventShape = z.discriminatedUnion("type", [
  events(["response.created", "response.in_progress", "response.completed", "response.incomplete", "response.failed"], {
    ...numbered,
    response: responseShape,
  }),
  events(["response.output_item.added", "response.output_item.done"], item),
  events(["response.content_part.added", "response.content_part.done"], { ...inText, part: outputText }),
  events(["response.output_text.delta"], { ...inText, delta: z.string(), logprobs: z.array(z.never()) }),
  events(["response.output_text.done"], { ...inText, text: z.string(), logprobs: z.array(z.never()) }),
  events(["response.output_text.annotation.added"], { ...inText, annotation_index: z.int(), annotation }),
  events(["response.reasoning_summary_part.added", "response.reasoning_summary_part.done"], {
    ...inSummary,
    part: summaryText,
  }),
  events(["response.reasoning_summary_text.delta"], { ...inSummary, delta: z.string() }),
  events(["response.reasoning_summary_text.done"], { ...inSummary, text: z.string() }),
  events(["response.function_call_arguments.delta", "response.mcp_call_arguments.delta"], {
    ...place,
    delta: z.string(),
  }),
  events(["response.function_call_arguments.done", "response.mcp_call_arguments.done"], {
    ...place,
    name: z.string(),
    arguments: z.string(),
  }),
  events(["response.mcp_call.in_progress", "response.mcp_call.completed", "response.mcp_call.failed"], place),
]);

export const deletedShape = z.object({ id: z.string(), object: z.literal("response"), deleted: z.literal(true) });

const inputItem = z.looseObject({
  id: z.string(),
  type: z.enum(["message", "reasoning", "function_call", "function_call_output"]),
});

export const inputShape = z.object({
  object: z.literal("list"),
  data: z.array(inputItem),
  first_id: z.string().nullable(),
  last_id: z.string().nullable(),
  has_more: z.boolean(),
});
