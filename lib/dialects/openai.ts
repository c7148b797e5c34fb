// Dialect `openai` (docs/protocol.md §6.6): the shape of OpenAI's Chat Completions, streamed and whole. What its requests
// may say is read in openai-prompt.ts.
import { getToolName, isToolUIPart } from "ai";
import { z } from "zod";
import { AppError } from "@/lib/errors";
import type { MessageMetadata, Source } from "@/lib/turn/chunks";
import type { TurnAnswer, TurnContext, TurnPrompt } from "@/lib/turn/turn-context";
import { chatReference, snakeTurnOptions } from "@/lib/turn/turn-options";
import type { Ask, Dialect, DialectFrame, Failure } from "./contract";
import { optionsOf } from "./fields";
import { lastQuestion, promptMessage, promptOf, promptTool } from "./openai-prompt";
import { completion, completionChunk, failure, modelList } from "./openai-shapes";
import { contentOf, endOf, frame, Seen, sourcesOf } from "./seen";

const number = z.number().nullish();
const body = z.object({
  messages: z.array(promptMessage).min(1).max(10_000),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  /** `chat_id` names the chat whose next turn this is. */
  metadata: z.looseObject({ chat_id: chatReference.nullish() }).nullish(),
  n: z.literal(1, { error: "one answer at a time: must be 1" }).nullish(),
  response_format: z.object({ type: z.literal("text", { error: "only text is supported" }) }).nullish(),
  tools: z.array(promptTool).nullish(),
  tool_choice: z
    .union([
      z.enum(["auto", "none", "required"]),
      z.object({ type: z.literal("function"), function: z.object({ name: z.string() }) }),
    ])
    .nullish(),
  temperature: number,
  top_p: number,
  max_tokens: z.int().positive().nullish(),
  max_completion_tokens: z.int().positive().nullish(),
  seed: z.int().nullish(),
  store: z.boolean().nullish().describe("Without a chat: true shows the call's chat in the list of chats."),
  presence_penalty: number,
  frequency_penalty: number,
  stop: z.union([z.string(), z.array(z.string()).max(4)]).nullish(),
  ...snakeTurnOptions,
});
type Body = z.output<typeof body>;

export const openai: Dialect = {
  name: "openai",
  knows: "turn",
  remembers: true,
  encoder: (context) => {
    const { view } = context;
    const seen = new Seen();
    const head = identity(context, "chat.completion.chunk");
    // With include_usage every chunk has the field, and only the last one a value.
    const tail = view.includeUsage ? { usage: null } : {};
    const choice = (delta: object, finish: string | null = null) =>
      frame({ ...head, choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }], ...tail });
    let calls = 0;
    return ({ chunk }) => {
      const added = seen.see(chunk);
      if (added) return [choice({ content: added })];
      if (chunk.type === "reasoning-delta") return chunk.delta ? [choice({ reasoning_content: chunk.delta })] : [];
      if (chunk.type === "start") return [choice({ role: "assistant", content: "" })];
      if (chunk.type === "tool-input-available" || chunk.type === "tool-input-error")
        return [
          choice({ tool_calls: [{ index: calls++, ...showCall(chunk.toolCallId, chunk.toolName, chunk.input) }] }),
        ];
      if (seen.entered(chunk) === "generate" && seen.sources.length > 0)
        return [choice({ annotations: seen.sources.map(showAnnotation) })];
      const end = endOf(chunk);
      if (!end) return [];
      if (end === "failed")
        return [frame({ error: showError({ status: 502, code: seen.error?.code, message: seen.error?.message }) })];
      const frames: DialectFrame[] = [choice({}, finishReason(seen.metadata, context))];
      if (view.includeUsage) frames.push(frame({ ...head, choices: [], usage: showUsage(seen.metadata) }));
      return frames;
    };
  },
  trailer: "[DONE]",
  routes: [
    {
      kind: "turn",
      path: "/v1/chat/completions",
      streams: true,
      body,
      example: { messages: [{ role: "user", content: "What is a rivulet?" }], stream: true },
      ask: ({ body }) => ask(body as Body),
      whole,
      answer: completion,
    },
    {
      kind: "models",
      path: "/v1/models",
      answer: modelList,
      list: (models) => ({
        object: "list",
        // When a model was made is not known here. One that cannot be called is of no use to a client.
        data: models
          .filter(({ ready }) => ready)
          .map(({ id, provider }) => ({ id, object: "model", created: 0, owned_by: provider })),
      }),
    },
  ],
  failure: (refusal) => ({ error: showError(refusal) }),
  describes: {
    summary: "The Chat Completions shape: works with OpenAI's own client.",
    event: z.union([completionChunk, z.object(failure.shape)]),
    failure,
  },
};

/**
 * Stateless by default: the messages are the prompt as it is, and the turn gets a chat of its own which holds them, so it
 * is as durable as any other. With a chat, the history is the server's and only the last question is new.
 */
function ask(asked: Body): Ask {
  const chat = asked.metadata?.chat_id ?? undefined;
  const clientTools = (asked.tools?.length ?? 0) > 0;
  if (chat && clientTools)
    throw new AppError(
      "bad_request",
      "tools: the tools of a chat are the server's. Leave metadata.chat_id away to bring your own.",
    );
  return {
    chat,
    say: chat ? lastQuestion(asked.messages) : { ...promptOf(asked.messages), ...callOf(asked) },
    stream: asked.stream ?? false,
    listed: asked.store ?? false,
    view: { includeUsage: asked.stream_options?.include_usage ?? false, clientTools },
    ...optionsOf(asked),
  };
}

function callOf(asked: Body): Pick<TurnPrompt, "settings" | "tools" | "toolChoice"> {
  const choice = asked.tool_choice ?? undefined;
  return {
    settings: {
      temperature: asked.temperature ?? undefined,
      topP: asked.top_p ?? undefined,
      maxOutputTokens: asked.max_completion_tokens ?? asked.max_tokens ?? undefined,
      stopSequences: typeof asked.stop === "string" ? [asked.stop] : (asked.stop ?? undefined),
      seed: asked.seed ?? undefined,
      presencePenalty: asked.presence_penalty ?? undefined,
      frequencyPenalty: asked.frequency_penalty ?? undefined,
    },
    ...(asked.tools?.length && {
      tools: asked.tools.map((tool) => tool.function),
      toolChoice: typeof choice === "object" ? { type: "tool", toolName: choice.function.name } : choice,
    }),
  };
}

function whole({ context, message, metadata }: TurnAnswer): object {
  const calls = message.parts.flatMap((part) =>
    isToolUIPart(part) ? [showCall(part.toolCallId, getToolName(part), part.input)] : [],
  );
  const reasoning = message.parts.map((part) => (part.type === "reasoning" ? part.text : "")).join("");
  const answer = {
    role: "assistant",
    content: contentOf(message) || (calls.length > 0 ? null : ""),
    ...(reasoning && { reasoning_content: reasoning }),
    refusal: null,
    annotations: sourcesOf(message).map(showAnnotation),
    ...(calls.length > 0 && { tool_calls: calls }),
  };
  return {
    ...identity(context, "chat.completion"),
    choices: [{ index: 0, message: answer, logprobs: null, finish_reason: finishReason(metadata, context) }],
    usage: showUsage(metadata),
  };
}

function identity({ turnId, createdAt, model }: TurnContext, object: string) {
  return { id: `chatcmpl-${turnId}`, object, created: Math.floor(Date.parse(createdAt) / 1_000), model };
}

function showCall(id: string, name: string, input: unknown) {
  const json = typeof input === "string" ? input : (JSON.stringify(input) ?? "");
  return { id, type: "function", function: { name, arguments: json } };
}

function showAnnotation({ documentId, filename, title, ordinal, score, text }: Source) {
  return {
    type: "file_citation",
    file_citation: { file_id: documentId, filename, title, index: ordinal, score, text },
  };
}

function showUsage({ usage }: Partial<MessageMetadata>) {
  if (!usage) return null;
  return {
    prompt_tokens: usage.inputTokens,
    completion_tokens: usage.outputTokens,
    total_tokens: usage.totalTokens,
  };
}

/** `tool_calls` tells a client to run them, so it is said only of the client's own tools. */
function finishReason({ finishReason }: Partial<MessageMetadata>, { view }: TurnContext): string {
  if (finishReason === "length") return "length";
  if (finishReason === "content-filter") return "content_filter";
  return finishReason === "tool-calls" && view.clientTools ? "tool_calls" : "stop";
}

function showError({ status, code, message }: Pick<Failure, "status"> & Partial<Failure>) {
  const [param] = status === 400 ? (/^([\w.]+): /.exec(message ?? "")?.slice(1) ?? []) : [];
  const names: Record<string, string> = { unauthorized: "invalid_api_key", rate_limited: "rate_limit_exceeded" };
  const type = status >= 500 ? "server_error" : status === 429 ? "requests" : "invalid_request_error";
  return { message, type, param: param ?? null, code: names[code ?? ""] ?? code };
}
