// Maps finish reasons of all Chat Completions servers to OpenAI's. Pure.
import { isObject, type JsonObject, truncatedReason } from "./answer-events";

/** By canonical reason; `truncatedReason`: the server gave up. All in lower case. */
const words: Record<string, string[]> = {
  stop: ["end_turn", "stop_sequence", "stop_token", "eos", "eos_token", "end", "complete", "completed", "done"],
  length: [
    "max_tokens",
    "max_output_tokens",
    "max_new_tokens",
    "max_length",
    "model_length",
    "token_limit",
    "incomplete",
    "model_context_window_exceeded",
  ],
  tool_calls: ["tool_use", "tool_call", "tool-calls", "tooluse", "function_call", "function_calls"],
  content_filter: [
    "safety",
    "recitation",
    "blocklist",
    "prohibited_content",
    "spii",
    "refusal",
    "sensitive",
    "error_toxic",
    "content_filtered",
    "guardrail_intervened",
  ],
  // DeepSeek: overloaded; SGLang and vLLM: gave up; Zhipu: lost its connection; Gemini: lost a
  // call.
  [truncatedReason]: [
    "insufficient_system_resource",
    "abort",
    "aborted",
    "cancelled",
    "canceled",
    "network_error",
    "timeout",
    "malformed_function_call",
  ],
};

const canonical = new Map(
  Object.entries(words).flatMap(([reason, names]) => names.map((name) => [name, reason] as const)),
);

/** Null while the answer continues; unknown reasons pass through. */
export function finishReasonOf(choice: JsonObject): string | null {
  const reported = choice.finish_reason ?? choice.finishReason ?? choice.finish_details;
  const word = isObject(reported) ? reported.type : reported;
  // Some send an empty word, or "null" or "None", with every chunk.
  if (typeof word !== "string" || word === "" || word === "null" || word === "None") return null;
  // Gemini: "function_call_filter: MALFORMED_FUNCTION_CALL".
  const reason = word
    .slice(word.lastIndexOf(":") + 1)
    .trim()
    .toLowerCase();
  return canonical.get(reason) ?? reason;
}

/** False for a reason that says nothing about the answer. */
export function isKnownReason(reason: string): boolean {
  return reason in words;
}
