// Why an answer ended, in the words of all the servers that stream Chat Completions, and in OpenAI's. Pure.
import { brokenOff, isObject, type JsonObject } from "./answer-events";

/** By the canonical reason; `brokenOff`: the server gave the answer up. All in lower case. */
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
  // DeepSeek's servers are overloaded; SGLang and vLLM gave up; Zhipu lost its own connection; Gemini lost a call.
  [brokenOff]: [
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

/** Null while the answer goes on; an unknown word is passed on as it is. */
export function finishReasonOf(choice: JsonObject): string | null {
  const told = choice.finish_reason ?? choice.finishReason ?? choice.finish_details;
  const word = isObject(told) ? told.type : told;
  // Some send an empty word, or the name of nothing, with every chunk.
  if (typeof word !== "string" || word === "" || word === "null" || word === "None") return null;
  // Gemini: "function_call_filter: MALFORMED_FUNCTION_CALL".
  const reason = word
    .slice(word.lastIndexOf(":") + 1)
    .trim()
    .toLowerCase();
  return canonical.get(reason) ?? reason;
}

/** False for a word that says nothing about the answer. */
export function isKnownReason(reason: string): boolean {
  return reason in words;
}
