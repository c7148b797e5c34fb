// The body of `POST /v1/responses` (docs/protocol.md §6.7). Every field is honoured or rejected by
// name; unknown fields are rejected. Pure.
import { z } from "zod";
import { AppError } from "@/lib/errors";
import type { TurnPrompt } from "@/lib/turn/turn-input";
import { documentIds, modelName, searchMode } from "@/lib/turn/turn-options";
import type { ParsedRequest, References, RequestInput } from "./dialect";
import { withoutNulls } from "./openai-fields";
import { conversationOf, messagesNamed, responseInput } from "./responses-input";
import { turnOfResponse } from "./responses-items";

const toolName = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, "must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -");
const functionTool = z.object({
  type: z.literal("function", { error: "only function tools, which the client runs, are supported" }),
  name: toolName,
  description: z.string().nullish(),
  parameters: z.record(z.string(), z.unknown()).nullish(),
  strict: z.boolean().nullish(),
});
const named = z.object({ type: z.literal("function"), name: z.string() });
const toolChoice = z.union(
  [
    z.enum(["auto", "none", "required"]),
    named,
    z.object({ type: z.literal("allowed_tools"), mode: z.enum(["auto", "required"]), tools: z.array(named).min(1) }),
  ],
  { error: "must be auto, none, required, a function or allowed_tools" },
);
const format = z.discriminatedUnion("type", [
  z.object({ type: z.literal("text") }),
  z.object({ type: z.literal("json_object") }),
  z.object({
    type: z.literal("json_schema"),
    name: toolName,
    schema: z.record(z.string(), z.unknown()),
    description: z.string().nullish(),
    strict: z.boolean().nullish(),
  }),
]);
/** Values of `include`; this server's answers have few of these items. */
const includable = z.enum([
  "reasoning.encrypted_content",
  "code_interpreter_call.outputs",
  "computer_call_output.output.image_url",
  "file_search_call.results",
  "message.input_image.image_url",
  "web_search_call.results",
  "web_search_call.action.sources",
]);
const only = <T extends z.core.util.Literal>(value: T, error: string) => z.literal(value, { error }).nullish();
const hint = z.string().max(512).nullish();

export const responseBody = z.strictObject({
  model: modelName.optional(),
  input: responseInput.optional(),
  instructions: z.string().nullish(),
  previous_response_id: z.string().max(256).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.strictObject({ include_obfuscation: only(false, "is not supported") }).nullish(),
  background: z.boolean().nullish(),
  store: z.boolean().nullish().describe("False: the response cannot be retrieved. True: its chat is listed and kept."),
  metadata: z
    .record(z.string().max(64), z.string().max(512))
    .refine((all) => Object.keys(all).length <= 16, "at most 16 keys")
    .nullish(),
  include: z.array(includable).nullish(),
  tools: z.array(functionTool).max(512).nullish(),
  tool_choice: toolChoice.nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  max_tool_calls: z.int().positive().nullish().describe("For server tools, which this endpoint does not have."),
  max_output_tokens: z.int().positive().nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  top_logprobs: only(0, "is not supported"),
  reasoning: z
    .strictObject({
      effort: z.enum(["none", "minimal", "low", "medium", "high", "xhigh"]).nullish(),
      summary: z.enum(["auto", "concise", "detailed"]).nullish(),
      generate_summary: z.enum(["auto", "concise", "detailed"]).nullish(),
    })
    .nullish(),
  text: z.strictObject({ format: format.nullish(), verbosity: z.enum(["low", "medium", "high"]).nullish() }).nullish(),
  truncation: z.enum(["auto", "disabled"]).nullish(),
  service_tier: z.enum(["auto", "default"], { error: "must be auto or default" }).nullish(),
  user: hint,
  safety_identifier: hint,
  prompt_cache_key: hint,
  client_metadata: z
    .record(z.string().max(64), z.string().max(16_384))
    .nullish()
    .describe("Sent by Codex; not stored."),
  prompt_cache_retention: z.enum(["in_memory", "24h"]).nullish(),
  search_mode: searchMode.optional().describe("Which documents to search. Default: `none`."),
  document_ids: documentIds.optional(),
});
type Body = z.output<typeof responseBody>;

export function referencesOf(body: unknown): References {
  const { previous_response_id: previous, input = [] } = body as Body;
  const turnId = previous ? turnOfResponse(previous) : null;
  return { ...(turnId && { turnId }), messageIds: messagesNamed(input) };
}

/** Throws AppError `bad_request` or `not_found` naming the field. */
export function parseResponseRequest({ body, references }: RequestInput): ParsedRequest {
  const request = body as Body;
  const { store, stream, input = [], search_mode: mode, document_ids: documents } = request;
  const background = request.background ?? false;
  if (background && store === false)
    throw new AppError("bad_request", "background: must be stored. Leave store away, or set it to true.");
  const turn = previousTurn(request, references);
  const { messages, instructions, notes, replaces } = conversationOf(input, references.messages, turn?.answer ?? null);
  const before = turn?.view.system;
  const system = joined([before, ...instructions, ...(notes ?? []).map(({ text }) => text)]);
  const tools = toolsOf(request);
  const sealed = request.include?.includes("reasoning.encrypted_content") ?? false;
  const parent = replaces ? turn?.answer.parentId : turn?.answer.id;
  return {
    ...(turn && { chat: { id: turn.chatId } }),
    stream: stream ?? false,
    background,
    stopsWithClient: store === false,
    request: {
      trigger: "answer-prompt",
      ...(turn && { parentId: parent ?? undefined }),
      prompt: {
        messages,
        instructions: joined([request.instructions, before, ...instructions]),
        ...(notes && { notes }),
        settings: {
          temperature: request.temperature ?? undefined,
          topP: request.top_p ?? undefined,
          maxOutputTokens: request.max_output_tokens ?? undefined,
        },
        fields: fieldsOf(request),
        ...tools,
        ...(request.truncation === "auto" && { fitsContext: true }),
        echo: largeEcho(request),
      },
      listed: store ?? false,
      model: request.model,
      searchMode: mode ?? (documents ? "selected" : "none"),
      documentIds: documents,
      view: {
        clientTools: true,
        ...(store === false && { kept: false }),
        ...(background && { background }),
        ...(sealed && { sealsReasoning: true }),
        ...(system && { system }),
        echo: smallEcho(request),
      },
    },
  };
}

/** Provider fields, named as in Chat Completions. */
function fieldsOf({ reasoning, text, ...request }: Body): TurnPrompt["fields"] {
  return withoutNulls({
    reasoning_effort: reasoning?.effort,
    verbosity: text?.verbosity,
    response_format: chatFormat(text?.format),
    parallel_tool_calls: request.tools?.length ? request.parallel_tool_calls : undefined,
  });
}

function chatFormat(request: NonNullable<Body["text"]>["format"]): object | undefined {
  if (!request || request.type === "text") return undefined;
  if (request.type === "json_object") return request;
  const { type, ...schema } = request;
  return { type, json_schema: withoutNulls(schema) };
}

function joined(texts: (string | null | undefined)[]): string {
  return texts.filter(Boolean).join("\n\n");
}

function previousTurn({ previous_response_id: id }: Body, { turn }: RequestInput["references"]) {
  if (!id) return undefined;
  if (turn && turn.view.kept !== false) return turn;
  throw new AppError("not_found", `previous_response_id: Previous response with id '${id}' not found.`);
}

/** A client that sends no tools gets none: it did not ask for the server's. */
function toolsOf({ tools, tool_choice: choice }: Body): Pick<TurnPrompt, "tools" | "toolChoice"> {
  const restricts = typeof choice === "object" && choice?.type === "allowed_tools";
  const allowed = restricts ? new Set(choice.tools.map(({ name }) => name)) : null;
  const offered = (tools ?? []).filter(({ name }) => allowed?.has(name) ?? true);
  const byName = typeof choice === "object" && choice?.type === "function" ? choice.name : null;
  if (byName !== null && !offered.some(({ name }) => name === byName))
    throw new AppError("bad_request", `tool_choice: there is no tool ${byName} in tools`);
  return {
    tools: offered.map(({ name, description, parameters, strict }) => ({
      name,
      description: description ?? undefined,
      parameters: parameters ?? { type: "object", properties: {} },
      ...(typeof strict === "boolean" && { strict }),
    })),
    ...(offered.length > 0 && {
      toolChoice: byName !== null ? { type: "tool", toolName: byName } : restricts ? choice.mode : plainChoice(choice),
    }),
  };
}

function plainChoice(choice: Body["tool_choice"]): TurnPrompt["toolChoice"] {
  return typeof choice === "string" ? choice : undefined;
}

/** Drops null: the response fills in defaults. */
function echoOf(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null));
}

function largeEcho({ instructions, tools, text }: Body): Record<string, unknown> {
  return echoOf({
    instructions,
    tools: tools?.map((tool) => ({ ...tool, strict: tool.strict ?? false })),
    text: text && { format: text.format ?? { type: "text" }, verbosity: text.verbosity ?? "medium" },
  });
}

function smallEcho(body: Body): Record<string, unknown> {
  const { reasoning } = body;
  return echoOf({
    max_output_tokens: body.max_output_tokens,
    max_tool_calls: body.max_tool_calls,
    metadata: body.metadata,
    parallel_tool_calls: body.parallel_tool_calls,
    previous_response_id: body.previous_response_id,
    prompt_cache_key: body.prompt_cache_key,
    reasoning: reasoning && { effort: reasoning.effort ?? null, summary: reasoning.summary ?? null },
    safety_identifier: body.safety_identifier,
    service_tier: body.service_tier === "auto" ? undefined : body.service_tier,
    temperature: body.temperature,
    tool_choice: body.tool_choice,
    top_p: body.top_p,
    truncation: body.truncation,
    user: body.user,
  });
}
