// Dialect `openai` (docs/protocol.md §6.6): OpenAI's Chat Completions, streamed and whole. Requests
// are parsed in openai-fields.ts and openai-prompt.ts.
import { getToolName, isToolUIPart } from "ai";
import { z } from "zod";
import { AppError } from "@/lib/errors";
import { ChunkState } from "@/lib/turn/chunk-state";
import type { MessageMetadata } from "@/lib/turn/chunks";
import { interruptedError } from "@/lib/turn/ending";
import type { TurnAnswer, TurnContext } from "@/lib/turn/turn-context";
import type { Dialect, DialectFrame, ListedModel, ParsedRequest } from "./dialect";
import { asQuestion, optionsOf } from "./fields";
import { contentOf, endOf, frame, sourcesOf } from "./frames";
import { annotationsOf, type Page, pageOf } from "./openai-citations";
import { embeddingAnswer, embeddingBody, embeddingInputOf, showEmbeddings } from "./openai-embeddings";
import { showError, statusOf, turnFailure } from "./openai-errors";
import { type CompletionBody, callOf, completionBody, isSpecific, toolsOf } from "./openai-fields";
import { beforeQuestion, lastQuestion, promptOf } from "./openai-prompt";
import { completion, completionChunk, failure, model, modelList } from "./openai-shapes";
import { fullTextResponse, parseTextRequest, textAnswer, textBody, textChunk, textEncoder } from "./openai-text";
import { completionUsage } from "./openai-usage";

export const openai: Dialect = {
  name: "openai",
  contextScope: "turn",
  stateful: true,
  encoder: (context) => {
    const { view } = context;
    if (view.completes) return textEncoder(context);
    const state = new ChunkState();
    const head = identity(context, "chat.completion.chunk");
    // With include_usage every chunk has the field, but only the last one a value.
    const tail = view.includeUsage ? { usage: null } : {};
    const choice = (delta: object, finish: string | null = null, logprobs: object | null = null) =>
      frame({ ...head, choices: [{ index: 0, delta, logprobs, finish_reason: finish }], ...tail });
    let text = "";
    let calls = 0;
    const pages: Page[] = [];
    return ({ chunk }) => {
      const added = state.apply(chunk);
      text += added;
      if (added) return [choice({ content: added })];
      if (chunk.type === "reasoning-delta") return chunk.delta ? [choice({ reasoning_content: chunk.delta })] : [];
      if (chunk.type === "start") return [choice({ role: "assistant", content: "" })];
      if (chunk.type === "tool-input-available" || chunk.type === "tool-input-error") {
        if (!view.clientTools) return [];
        const call = showCall(chunk.toolCallId, chunk.toolName, chunk.input);
        return [
          choice(view.functionCall ? { function_call: call.function } : { tool_calls: [{ index: calls++, ...call }] }),
        ];
      }
      if (chunk.type === "data-logprobs") return [choice({}, null, { content: chunk.data.content, refusal: null })];
      const page = pageOf(chunk);
      if (page) pages.push(page);
      const end = endOf(chunk);
      if (!end) return [];
      if (end === "failed") return [frame({ error: showError(turnFailure(state.error ?? interruptedError)) })];
      const annotations = annotationsOf(text, state.sources, pages);
      const frames: DialectFrame[] = [
        ...(annotations.length > 0 ? [choice({ annotations })] : []),
        choice({}, finishReason(state.metadata, context)),
      ];
      if (view.includeUsage) frames.push(frame({ ...head, choices: [], usage: completionUsage(state.metadata) }));
      return frames;
    };
  },
  trailer: "[DONE]",
  prefix: "/v1",
  routes: [
    {
      kind: "turn",
      path: "/v1/chat/completions",
      streams: true,
      body: completionBody,
      example: { messages: [{ role: "user", content: "What is a rivulet?" }], stream: true },
      parseRequest: ({ body, messageId }) => parseCompletion(body as CompletionBody, messageId),
      fullResponse,
      answer: completion,
    },
    {
      kind: "turn",
      label: "Text",
      path: "/v1/completions",
      streams: true,
      body: textBody,
      example: { prompt: "A rivulet is", stream: true },
      parseRequest: ({ body }) => parseTextRequest(body),
      fullResponse: fullTextResponse,
      answer: textAnswer,
    },
    {
      kind: "models",
      path: "/v1/models",
      answer: modelList,
      list: (models) => ({
        object: "list",
        // Creation dates are unknown. Models that cannot be called are omitted.
        data: models.filter(({ ready }) => ready).map(showModel),
      }),
    },
    {
      kind: "model",
      // Model names contain slashes.
      path: "/v1/models/:model*",
      parameter: "model",
      answer: model,
      show: showModel,
    },
    {
      kind: "embeddings",
      path: "/v1/embeddings",
      body: embeddingBody,
      example: { model: "text-embedding-3-small", input: "What is a rivulet?" },
      parseRequest: (body, maxCharacters) => embeddingInputOf(body as z.output<typeof embeddingBody>, maxCharacters),
      show: (embedded, body) => showEmbeddings(embedded, body as z.output<typeof embeddingBody>),
      answer: embeddingAnswer,
    },
  ],
  failure: (refusal) => ({ error: showError(refusal) }),
  statusOf,
  turnFailure,
  description: {
    summary: "The Chat Completions shape: works with OpenAI's own client.",
    event: z.union([completionChunk, textChunk, z.object(failure.shape)]),
    failure,
  },
};

/**
 * Stateless by default: the messages are the whole prompt, and the turn gets its own chat to hold
 * them, so it is as durable as any other. With a chat id, only the last question is new; it follows
 * the chat's history.
 */
function parseCompletion(request: CompletionBody, messageId: string): ParsedRequest {
  const chat = request.metadata?.chat_id ?? undefined;
  const options = optionsOf(request);
  const stream = request.stream ?? false;
  const includeUsage = request.stream_options?.include_usage ?? false;
  if (chat) {
    for (const field of ["tools", "tool_choice", "functions", "function_call"] as const)
      if (request[field])
        throw new AppError(
          "bad_request",
          `${field}: the tools of a chat are the server's. Leave metadata.chat_id away to bring your own.`,
        );
    const question = asQuestion(messageId, lastQuestion(request.messages));
    const before = beforeQuestion(request.messages);
    const call = callOf(request);
    // As in every dialect, a question with default settings carries no call options: it may be a
    // retry of one sent through another dialect.
    return {
      chat,
      stream,
      request: {
        ...question,
        ...(before.length > 0 && { before }),
        ...(isSpecific(call) && { call }),
        view: { includeUsage },
        ...options,
      },
    };
  }
  const functionCall = Boolean(request.functions) && !request.tools?.length;
  const clientTools = functionCall || Boolean(request.tools?.length);
  const store = request.store ?? false;
  return {
    stream,
    // Nobody can return to it, so disconnecting is how the client stops it.
    stopsWithClient: !store,
    request: {
      trigger: "answer-prompt",
      prompt: { ...promptOf(request.messages), ...callOf(request), ...toolsOf(request) },
      listed: store,
      view: { includeUsage, clientTools, ...(functionCall && { functionCall }) },
      ...options,
      // A complete prompt triggers no search by itself.
      searchMode: options.searchMode ?? (options.documentIds ? "selected" : "none"),
    },
  };
}

function showModel({ id, provider }: ListedModel) {
  // Creation dates are unknown.
  return { id, object: "model", created: 0, owned_by: provider };
}

function fullResponse({ context, message, metadata }: TurnAnswer): object {
  const calls = message.parts.flatMap((part) =>
    isToolUIPart(part) && context.view.clientTools ? [showCall(part.toolCallId, getToolName(part), part.input)] : [],
  );
  const text = contentOf(message);
  const pages = message.parts.flatMap((part) => pageOf(part) ?? []);
  const logprobs = message.parts.flatMap((part) => (part.type === "data-logprobs" ? part.data.content : []));
  const reasoning = message.parts.map((part) => (part.type === "reasoning" ? part.text : "")).join("");
  const answer = {
    role: "assistant",
    content: text || (calls.length > 0 ? null : ""),
    ...(reasoning && { reasoning_content: reasoning }),
    refusal: null,
    annotations: annotationsOf(text, sourcesOf(message), pages),
    ...(calls.length > 0 &&
      (context.view.functionCall ? { function_call: calls[0]?.function } : { tool_calls: calls })),
  };
  return {
    ...identity(context, "chat.completion"),
    choices: [
      {
        index: 0,
        message: answer,
        logprobs: logprobs.length > 0 ? { content: logprobs, refusal: null } : null,
        finish_reason: finishReason(metadata, context),
      },
    ],
    usage: completionUsage(metadata),
  };
}

function identity({ turnId, createdAt, model }: TurnContext, object: string) {
  return { id: `chatcmpl-${turnId}`, object, created: Math.floor(Date.parse(createdAt) / 1_000), model };
}

function showCall(id: string, name: string, input: unknown) {
  const json = typeof input === "string" ? input : (JSON.stringify(input) ?? "");
  return { id, type: "function", function: { name, arguments: json } };
}

/** `tool_calls` makes clients run the calls, so it is reported only for the client's own tools. */
function finishReason({ finishReason }: Partial<MessageMetadata>, { view }: TurnContext): string {
  if (finishReason === "length") return "length";
  if (finishReason === "content-filter") return "content_filter";
  if (finishReason !== "tool-calls" || !view.clientTools) return "stop";
  return view.functionCall ? "function_call" : "tool_calls";
}
