// Fields of a Chat Completions request and how a turn uses them (docs/protocol.md §6.6). Unknown
// fields are rejected, as OpenAI does: nothing a client asks for is silently dropped. Whether the
// model's provider supports a passed-on field is decided once the model is known
// (lib/models/request-fields.ts). Pure.
import type { JSONValue } from "ai";
import { z } from "zod";
import type { TurnCall, TurnPrompt } from "@/lib/turn/turn-input";
import { chatReference, snakeTurnOptions } from "@/lib/turn/turn-options";
import { promptMessage, promptTool } from "./openai-prompt";

const number = z.number().nullish();
const text = z.string().max(2_000).nullish();
const json = z.record(z.string(), z.json());

const jsonSchemaFormat = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, "must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -"),
  description: z.string().optional(),
  schema: json.optional(),
  strict: z.boolean().nullish(),
});
const responseFormat = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("text") }),
  z.strictObject({ type: z.literal("json_object") }),
  z.strictObject({ type: z.literal("json_schema"), json_schema: jsonSchemaFormat }),
]);

/** Passed unchanged to providers that support them. */
const passthroughFields = {
  user: text,
  safety_identifier: text,
  prompt_cache_key: text,
  prompt_cache_retention: text,
  logit_bias: z.record(z.string().regex(/^\d{1,9}$/, "must be the number of a token"), z.number()).nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(20).nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  reasoning_effort: text,
  verbosity: text,
  service_tier: text,
  store: z.boolean().nullish().describe("Without a chat: true also lists the call's chat."),
  modalities: z.tuple([z.literal("text")], { error: 'only ["text"] is answered here' }).nullish(),
  prediction: json.nullish(),
  web_search_options: json.nullish(),
  response_format: responseFormat.nullish(),
  functions: z
    .array(z.looseObject({ name: z.string() }))
    .min(1)
    .max(128)
    .nullish(),
  function_call: z.union([z.enum(["auto", "none"]), z.strictObject({ name: z.string() })]).nullish(),
};

/** Shared by Chat Completions and Responses. */
export const settingFields = {
  temperature: number,
  top_p: number,
  max_tokens: z.int().positive().nullish(),
  max_completion_tokens: z.int().positive().nullish(),
  seed: z.int().nullish(),
  presence_penalty: number,
  frequency_penalty: number,
  stop: z.union([z.string(), z.array(z.string()).max(4)]).nullish(),
};

export const completionBody = z.strictObject({
  messages: z.array(promptMessage).min(1).max(10_000),
  stream: z.boolean().nullish(),
  stream_options: z
    .strictObject({
      include_usage: z.boolean().nullish(),
      include_obfuscation: z.literal(false, { error: "is not done here: must be false" }).nullish(),
    })
    .nullish(),
  /** `chat_id` names the chat to continue. */
  metadata: z
    .looseObject({ chat_id: chatReference.nullish() })
    .nullish()
    .describe("`chat_id` is for this server. The rest goes to the provider, if it accepts metadata."),
  n: z.literal(1, { error: "one answer at a time: must be 1" }).nullish(),
  audio: z.null({ error: "is not answered here" }).optional(),
  tools: z.array(promptTool).max(128).nullish(),
  tool_choice: z
    .union([
      z.enum(["auto", "none", "required"]),
      z.strictObject({ type: z.literal("function"), function: z.strictObject({ name: z.string() }) }),
    ])
    .nullish(),
  ...settingFields,
  ...passthroughFields,
  ...snakeTurnOptions,
});
export type CompletionBody = z.output<typeof completionBody>;

export function settingsOf(request: z.output<z.ZodObject<typeof settingFields>>): TurnCall["settings"] {
  return {
    temperature: request.temperature ?? undefined,
    topP: request.top_p ?? undefined,
    maxOutputTokens: request.max_completion_tokens ?? request.max_tokens ?? undefined,
    stopSequences: typeof request.stop === "string" ? [request.stop] : (request.stop ?? undefined),
    seed: request.seed ?? undefined,
    presencePenalty: request.presence_penalty ?? undefined,
    frequencyPenalty: request.frequency_penalty ?? undefined,
  };
}

/**
 * Call options of the turn. A tool choice without tools is handled with `functions`, or refused by
 * the provider.
 */
export function callOf(request: CompletionBody): TurnCall {
  const { response_format: format, tool_choice: choice } = request;
  const { chat_id: _, ...metadata } = request.metadata ?? {};
  const passedThrough = Object.fromEntries(
    Object.keys(passthroughFields).map((name) => [name, request[name as keyof typeof passthroughFields]]),
  );
  const fields = {
    ...passedThrough,
    response_format: format?.type === "text" ? undefined : format,
    ...(Object.keys(metadata).length > 0 && { metadata }),
    ...(!request.tools?.length && { tool_choice: choice }),
  };
  return { settings: settingsOf(request), fields: withoutNulls(fields) };
}

/** True if anything differs from the model's defaults. */
export function isSpecific({ settings, fields = {} }: TurnCall): boolean {
  return [...Object.values(settings), ...Object.values(fields)].some((value) => value !== undefined);
}

export function toolsOf({ tools, tool_choice: choice }: CompletionBody): Pick<TurnPrompt, "tools" | "toolChoice"> {
  if (!tools?.length) return {};
  return {
    tools: tools.map(({ function: { strict, ...tool } }) => ({
      ...tool,
      ...(typeof strict === "boolean" && { strict }),
    })),
    toolChoice:
      typeof choice === "object" && choice ? { type: "tool", toolName: choice.function.name } : (choice ?? undefined),
  };
}

/** Clients send null for absent fields. */
export function withoutNulls(fields: Record<string, unknown>): Record<string, JSONValue> {
  const present = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null);
  return Object.fromEntries(present) as Record<string, JSONValue>;
}
