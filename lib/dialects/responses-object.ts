// The response object of OpenAI's Responses API (docs/protocol.md §6.7): identical in an event, in
// a whole answer and on later retrieval. Pure.
import type { MessageMetadata, TurnError, TurnErrorCode } from "@/lib/turn/chunks";
import type { TurnContext } from "@/lib/turn/turn-context";
import { type OutputItem, responseId } from "./responses-items";

export type Outcome = {
  status: "in_progress" | "completed" | "incomplete" | "failed" | "cancelled";
  incomplete?: "max_output_tokens" | "content_filter" | "cancelled";
  error?: TurnError;
  usage?: MessageMetadata["usage"];
  output: OutputItem[];
};

/** Values for fields the request omitted. */
const defaults = {
  max_output_tokens: null,
  max_tool_calls: null,
  metadata: {},
  parallel_tool_calls: true,
  previous_response_id: null,
  prompt_cache_key: null,
  reasoning: { effort: null, summary: null },
  safety_identifier: null,
  service_tier: "default",
  temperature: 1,
  text: { format: { type: "text" }, verbosity: "medium" },
  tool_choice: "auto",
  tools: [],
  top_logprobs: 0,
  top_p: 1,
  truncation: "disabled",
  user: null,
};

/** A response that is not stored cannot be retrieved. */
export function responseObject(context: TurnContext, { status, incomplete, error, usage, output }: Outcome) {
  const { turnId, createdAt, model, view, promptEcho } = context;
  return {
    id: responseId(turnId),
    object: "response",
    created_at: Math.floor(Date.parse(createdAt) / 1_000),
    status,
    background: view.background ?? false,
    error: error ? { code: errorCode(error.code), message: error.message } : null,
    incomplete_details: incomplete ? { reason: incomplete } : null,
    instructions: null,
    model,
    output,
    store: view.kept !== false,
    usage: usage ? showUsage(usage) : null,
    ...defaults,
    ...view.echo,
    ...promptEcho,
  };
}

/** OpenAI's values of `response.error.code`. */
function errorCode(code: TurnErrorCode): string {
  if (code === "provider_rate_limited") return "rate_limit_exceeded";
  return code === "provider_invalid" ? "invalid_prompt" : "server_error";
}

function showUsage(usage: NonNullable<MessageMetadata["usage"]>) {
  const { inputTokens, outputTokens, totalTokens, cachedTokens = 0, reasoningTokens = 0 } = usage;
  return {
    input_tokens: inputTokens,
    input_tokens_details: { cached_tokens: cachedTokens },
    output_tokens: outputTokens,
    output_tokens_details: { reasoning_tokens: reasoningTokens },
    total_tokens: totalTokens,
  };
}
