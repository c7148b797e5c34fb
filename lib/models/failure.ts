// Maps whatever a model call threw or streamed to a public error (docs/protocol.md §4). All
// messages are fixed: the provider's own text may hold keys, addresses or prompts.
import {
  APICallError,
  EmptyResponseBodyError,
  InvalidResponseDataError,
  JSONParseError,
  LoadAPIKeyError,
  NoContentGeneratedError,
  NoOutputGeneratedError,
  NoSuchModelError,
  RetryError,
  StreamProviderError,
  TypeValidationError,
  UnsupportedFunctionalityError,
} from "ai";
import type { TurnError } from "@/lib/turn/chunks";
import { ContextExceeded } from "@/lib/turn/context-window";
import { UnsupportedSetting } from "@/lib/turn/steps";
import { providerReport } from "./provider-report";
import { refusalOf } from "./refusals";
import { fieldOfSetting } from "./request-fields";
import { retryAfterMs } from "./retries";
import { ProviderTimeoutError } from "./timeouts";

const keptSentence = "What was written so far is kept.";

const failures = {
  credentials: {
    code: "provider_auth",
    message: `The model provider did not accept this server's credentials. ${keptSentence} Ask the administrator to check the API key, or choose another model.`,
    retryable: false,
  },
  rateLimited: {
    code: "provider_rate_limited",
    message: `The model provider is limiting requests, or its quota is used up. ${keptSentence} Wait a moment and retry, or choose another model.`,
    retryable: true,
  },
  credit: {
    code: "provider_rate_limited",
    message: `The credit of this server's account with the model provider is used up. ${keptSentence} Ask the administrator, or choose another model.`,
    retryable: true,
    reason: "insufficient_quota",
  },
  contextTooLong: {
    code: "provider_invalid",
    message: `This conversation is too long for the model. ${keptSentence} Start a new chat, or choose a model with a larger context.`,
    retryable: false,
    reason: "context_length_exceeded",
  },
  questionTooLong: {
    code: "provider_invalid",
    message: `This question is longer than the model can read, so it was not sent. ${keptSentence} Shorten the question, or choose a model with a larger context.`,
    retryable: false,
    reason: "context_length_exceeded",
  },
  unknownModel: {
    code: "provider_invalid",
    message: `The model provider does not have this model, or not for this server. ${keptSentence} Choose another model, or ask the administrator to check the model's name.`,
    retryable: false,
    reason: "model_not_found",
  },
  contentFilter: {
    code: "provider_invalid",
    message: `The model provider's content filter refused this request. ${keptSentence} Rephrase the question, or choose another model.`,
    retryable: false,
    reason: "content_filter",
  },
  parameter: {
    code: "provider_invalid",
    message: `The model provider does not accept a setting of this request. ${keptSentence} Choose another model, or ask the administrator: the server's log names the setting.`,
    retryable: false,
    reason: "unsupported_parameter",
  },
  unavailable: {
    code: "provider_unavailable",
    message: `The model provider could not be reached, or broke off its answer. ${keptSentence} Retry in a moment, or choose another model.`,
    retryable: true,
  },
  timeout: {
    code: "provider_timeout",
    message: `The model provider stopped sending. ${keptSentence} Retry, or choose another model.`,
    retryable: true,
  },
  refused: {
    code: "provider_invalid",
    message: `The model provider refused this request. ${keptSentence} Choose another model or start a new chat; the server's log says more.`,
    retryable: false,
  },
  unreadable: {
    code: "provider_invalid",
    message: `The model provider sent something that is not an answer. ${keptSentence} Retry; if it happens again, ask the administrator to check the provider's address.`,
    retryable: true,
    reason: "unreadable_answer",
  },
  internal: {
    code: "internal",
    message: `Something went wrong on this server. ${keptSentence} Retry; the server's log says more.`,
    retryable: true,
  },
} as const satisfies Record<string, TurnError>;

export const deadlineError: TurnError = {
  code: "provider_timeout",
  message: `The answer took longer than this server allows. ${keptSentence} Continue it, or choose another model.`,
  retryable: true,
};

/**
 * Node's codes for a failed connection or unreadable HTTP or compression; also set on the cause of
 * a fetch error.
 */
const networkCodes =
  /^(?:HPE_|ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|CERT_|ERR_TLS|ERR_SSL|ERR_STREAM_PREMATURE_CLOSE|Z_|ERR__|ZSTD_)/;

/** Never throws. The caller's own abort is not a failure and must not be passed here. */
export function classifyFailure(error: unknown): TurnError {
  const kind = kindOf(error);
  const failure: TurnError = { ...failures[kind] };
  if (kind === "parameter") {
    const param = paramOf(error);
    if (param) return { ...failure, param, message: `${param}: ${failure.message}` };
  }
  if (kind === "rateLimited") {
    const waitMs = retryAfterMs(RetryError.isInstance(error) ? error.lastError : error);
    if (waitMs !== null) return { ...failure, retryAfter: Math.ceil(waitMs / 1_000) };
  }
  return failure;
}

/**
 * Fields a client may have set; any other word may be the provider's own text, which is never
 * shown.
 */
const knownFields =
  /^(?:temperature|top_p|max_tokens|max_completion_tokens|seed|stop|presence_penalty|frequency_penalty|user|logit_bias|logprobs|top_logprobs|parallel_tool_calls|reasoning_effort|verbosity|service_tier|store|metadata|modalities|prediction|response_format|functions|function_call|tools|tool_choice|messages|safety_identifier|prompt_cache_key|prompt_cache_retention|web_search_options)$/;

function paramOf(error: unknown): string | undefined {
  if (error instanceof UnsupportedSetting) return fieldOfSetting(error.setting);
  const reported = providerReport(RetryError.isInstance(error) ? error.lastError : error)?.param?.split(/[.[]/, 1)[0];
  return reported !== undefined && knownFields.test(reported) ? reported : undefined;
}

function kindOf(error: unknown): keyof typeof failures {
  if (RetryError.isInstance(error)) return kindOf(error.lastError);
  if (error instanceof ContextExceeded) return "questionTooLong";
  if (error instanceof UnsupportedSetting || UnsupportedFunctionalityError.isInstance(error)) return "parameter";
  if (ProviderTimeoutError.is(error)) return "timeout";
  if (error instanceof Error && error.name === "TimeoutError") return "timeout";
  if (isNetworkFailure(error)) return "unavailable";
  // The SDK wraps the cause of a response that broke off after a good start.
  if (APICallError.isInstance(error) && (error.statusCode ?? 0) < 300 && error.cause) {
    const cause = kindOf(error.cause);
    if (cause !== "internal") return cause;
  }
  const refusal = refusalOf(error);
  if (refusal) return refusal;
  if (APICallError.isInstance(error) || StreamProviderError.isInstance(error)) {
    return error.statusCode === undefined ? "unavailable" : kindOfStatus(error.statusCode);
  }
  if (LoadAPIKeyError.isInstance(error)) return "credentials";
  if (NoSuchModelError.isInstance(error)) return "unknownModel";
  const unreadable = [
    JSONParseError,
    TypeValidationError,
    EmptyResponseBodyError,
    InvalidResponseDataError,
    NoContentGeneratedError,
    NoOutputGeneratedError,
  ].some((kind) => kind.isInstance(error));
  return unreadable ? "unreadable" : "internal";
}

function kindOfStatus(status: number): keyof typeof failures {
  if (status === 403) return "credentials";
  if (status === 429) return "rateLimited";
  if (status === 408) return "timeout";
  if (status >= 500) return "unavailable";
  // A failure with a 2xx status is an unreadable body.
  return status >= 400 ? "refused" : "unreadable";
}

function isNetworkFailure(error: unknown): boolean {
  for (let current = error, depth = 0; current instanceof Error && depth < 8; current = current.cause, depth++) {
    const code = (current as { code?: unknown }).code;
    if (typeof code === "string" && networkCodes.test(code)) return true;
  }
  return false;
}
