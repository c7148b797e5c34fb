// Why a provider permanently refuses a request, as far as its text tells: one table of the codes
// and sentences that servers use (docs/providers.md). Pure.
import { type ProviderReport, providerReport } from "./provider-report";

export type Refusal = "credentials" | "credit" | "contextTooLong" | "unknownModel" | "contentFilter" | "parameter";

/** Null for other failures, or if the text does not tell. */
export function refusalOf(error: unknown): Refusal | null {
  const report = providerReport(error);
  // With any other status the text is that of an unreadable answer.
  return report && (report.status ?? 500) >= 400 ? refusalIn(report) : null;
}

/**
 * The prompt exceeds the limit of the model, its server or the account: a shorter one would be
 * accepted.
 */
export function isContextTooLong(error: unknown): boolean {
  return refusalOf(error) === "contextTooLong";
}

type Row = {
  refusal: Refusal;
  /** Statuses with no other meaning. */
  statuses?: number[];
  /** Matched against the error's codes and types. */
  names: RegExp;
  words: RegExp;
};

const refusals: Row[] = [
  {
    refusal: "credentials",
    statuses: [401],
    names: /invalid_api_key|API_KEY_INVALID|authentication_error/i,
    words: /api key (?:is )?(?:not valid|invalid|expired)|(?:invalid|incorrect) api key/i,
  },
  {
    refusal: "credit",
    statuses: [402],
    names: /insufficient_(?:quota|credit|balance|fund)|billing_(?:hard_limit|not_active)|payment_required/i,
    // Not "exceeded your current quota": Gemini says that of per-minute and per-day quotas.
    words:
      /insufficient (?:account )?(?:balance|credit|funds)|credit balance is too low|used all available credits|out of credits|spending limit|requires more credits/i,
  },
  {
    refusal: "contextTooLong",
    statuses: [413],
    names:
      /context_(?:length|window)_exceeded|exceed_context_size|ContextWindowExceeded|tokens_limit_reached|request_too_large/i,
    // Bounded: to the 4,000 characters of a report, as all of these.
    words: new RegExp(
      [
        // OpenAI, vLLM, SGLang, DeepSeek, Mistral, OpenRouter, Fireworks
        "max(?:imum)? (?:context|prompt|model) length",
        "exceeds? the context window",
        "reduce the length of (?:the |either)",
        "(?:context|model) length is only",
        "longer than the model's context",
        // llama.cpp, LM Studio
        "exceeds the available context",
        "context the overflows",
        "tokens to keep from the initial prompt",
        "context length of only",
        "input is too large to process",
        // Anthropic, Bedrock, Ollama, z.ai, MiniMax, Kimi, xAI
        "(?:prompt|input) (?:is )?too long",
        "exceeds? (?:the )?context (?:length|limit|size)",
        "prompt exceeds max length",
        "context window exceeds",
        "exceeded model token limit",
        "too many input tokens",
        "number of input tokens exceeds",
        // Gemini
        "input token count .{0,40}(?:exceeds|only supports)",
        // Cohere, TGI, DashScope
        "tokens in the prompt cannot exceed",
        "inputs` (?:tokens \\+|must have less)",
        "range of input length should be",
        // A single message.
        "'(?:messages|input)\\b[^']{0,40}': string too long",
        // The request exceeds the account's tokens per minute: waiting does not help.
        "request (?:body )?too large for",
      ].join("|"),
      "i",
    ),
  },
  {
    refusal: "unknownModel",
    names:
      /model_(?:not_(?:found|available|exist)|decommissioned|deprecated)|DeploymentNotFound|ModelNotFound|invalid_model|unknown_model/i,
    // Bounded: to the 4,000 characters of a report.
    words: new RegExp(
      [
        "\\bmodels?[\\s:`'\"/]{1,3}(?:\\S{1,200}\\s)?(?:(?:is|was|does|could|has|been|be) )?(?:not (?:be )?(?:found|exist)|been decommissioned|no longer)",
        // Anthropic's complete message.
        "^model: \\S+$",
        "not a valid model|invalid model\\b|no such model|unknown model\\b|model identifier is invalid",
        "no endpoints found for|real model ?id|unable to access model|does not have access to model",
      ].join("|"),
      "im",
    ),
  },
  {
    refusal: "contentFilter",
    names:
      /content_?(?:filter|policy|moderation)|ResponsibleAIPolicy|data_inspection_failed|moderation_blocked|PROHIBITED_CONTENT/i,
    words:
      /content (?:management|filtering|moderation|safety) policy|content filter|\bflagged (?:for|by|as)\b|content exists risk|inappropriate content|violat\w{1,5} (?:our |the )?(?:usage|content|safety) (?:polic|guideline)|our safety system|requires moderation/i,
  },
];

/** Checked last: servers use these words for the others too. */
const parameter: Row = {
  refusal: "parameter",
  names:
    /un(?:supported|known|recognized)_(?:parameter|value|argument)|invalid_(?:parameter|value|type)|missing_required_parameter|_(?:above|below)_m(?:ax|in)|extra_forbidden/i,
  words:
    /un(?:supported|known|recognized) (?:request )?(?:parameter|value|argument|field|name)\b|extra inputs are not permitted|does not support|not supported (?:with|by|for) this model|property '[^']{1,80}' is unsupported|additional properties are not allowed/i,
};

/** About the output cap, even if it mentions the context length. */
const capRefused =
  /max_(?:completion_|output_|new_)?tokens\W{0,3}(?:or \W?max_\w{1,40}\W{0,2})?(?:is |are )?too large/i;

/**
 * Statuses of refusals about the request itself; 500 is also used for errors inside a stream
 * without one.
 */
const aboutRequest = [400, 404, 422, 500, 501];

function refusalIn({ status = 500, names, message, param }: ProviderReport): Refusal | null {
  const named = refusals.find((row) => row.statuses?.includes(status) || row.names.test(names));
  if (named) return named.refusal;
  const capped = capRefused.test(message);
  const reported = capped ? undefined : refusals.find(({ words }) => words.test(message));
  if (reported) return reported.refusal;
  if (!aboutRequest.includes(status)) return null;
  if (param === "model") return "unknownModel";
  const refused = capped || (param !== undefined && status !== 500);
  return refused || parameter.names.test(names) || parameter.words.test(message) ? "parameter" : null;
}
