import { APICallError, RetryError, StreamProviderError } from "ai";
import { describe, expect, it } from "vitest";
import { reportedFailure } from "./answer-events";
import { isContextTooLong, type Refusal, refusalOf } from "./refusals";

function failed(statusCode: number, body: unknown): APICallError {
  const responseBody = typeof body === "string" ? body : JSON.stringify(body);
  return new APICallError({ message: "refused", url: "", requestBodyValues: {}, statusCode, responseBody });
}

/** The shapes of error bodies that servers send. */
const openai = (
  message: string,
  code: string | number | null = null,
  type = "invalid_request_error",
  param?: string,
) => ({
  error: { message, type, param: param ?? null, code },
});
const flat = (message: string, type: string, code: string | number) => ({ object: "error", message, type, code });
const anthropic = (message: string, type = "invalid_request_error") => ({ type: "error", error: { type, message } });
const google = (code: number, message: string, status: string, details?: object[]) => [
  { error: { code, message, status, details } },
];
const openrouter = (raw: string, code = 400) => ({
  error: { message: "Provider returned error", code, metadata: { raw, provider_name: "Someone" } },
});

const table: Record<Refusal | "none", [server: string, status: number, body: unknown][]> = {
  credentials: [
    ["OpenAI", 401, openai("Incorrect API key provided.", "invalid_api_key")],
    ["Gemini, with 400", 400, google(400, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT")],
    ["a 401 with any other text", 401, openai("The model `x` does not exist.", "model_not_found")],
  ],
  credit: [
    ["DeepSeek", 402, openai("Insufficient Balance", "invalid_request_error", "unknown_error")],
    ["OpenRouter", 402, openai("This request requires more credits, or fewer max_tokens.", 402)],
    [
      "OpenAI",
      429,
      openai(
        "You exceeded your current quota, please check your plan and billing details.",
        "insufficient_quota",
        "insufficient_quota",
      ),
    ],
    ["OpenAI's monthly limit", 429, openai("Billing hard limit has been reached", "billing_hard_limit_reached")],
    ["Anthropic", 400, anthropic("Your credit balance is too low to access the Anthropic API.")],
    ["xAI", 403, { code: "permission", error: "Your team has used all available credits or reached its limit." }],
  ],
  contextTooLong: [
    [
      "OpenAI",
      400,
      openai(
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.",
        "context_length_exceeded",
        "invalid_request_error",
        "messages",
      ),
    ],
    ["OpenAI's Responses", 400, openai("Your input exceeds the context window of this model.", null)],
    [
      "a single long message at OpenAI",
      400,
      openai("Invalid 'messages[1].content': string too long.", "string_above_max_length"),
    ],
    [
      "vLLM",
      400,
      flat(
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.",
        "BadRequestError",
        400,
      ),
    ],
    [
      "newer vLLM",
      400,
      flat(
        "You passed 5000 input tokens and requested 0 output tokens. However, the model's context length is only 4096 tokens.",
        "BadRequestError",
        400,
      ),
    ],
    [
      "vLLM's decoder",
      400,
      flat("The decoder prompt (length 5000) is longer than the maximum model length of 4096.", "BadRequestError", 400),
    ],
    [
      "SGLang",
      400,
      flat("The input (5000 tokens) is longer than the model's context length (4096 tokens).", "BadRequestError", 400),
    ],
    [
      "llama.cpp",
      400,
      {
        error: {
          code: 400,
          message: "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it",
          type: "exceed_context_size_error",
          n_prompt_tokens: 5000,
          n_ctx: 4096,
        },
      },
    ],
    [
      "older llama.cpp",
      500,
      openai("the request exceeds the available context size. try increasing the context size", 500, "server_error"),
    ],
    [
      "LM Studio",
      400,
      {
        error:
          "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens.",
      },
    ],
    ["Ollama", 400, { error: "prompt too long; exceeded max context length by 904 tokens" }],
    ["Anthropic", 400, anthropic("prompt is too long: 205000 tokens > 200000 maximum")],
    [
      "Anthropic with the output",
      400,
      anthropic("input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000"),
    ],
    ["Anthropic by bytes", 413, anthropic("Request exceeds the maximum allowed number of bytes.", "request_too_large")],
    [
      "Gemini",
      400,
      google(
        400,
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "INVALID_ARGUMENT",
      ),
    ],
    [
      "Mistral",
      400,
      flat(
        "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
        "invalid_request_prompt",
        "3051",
      ),
    ],
    ["Groq", 400, openai("Please reduce the length of the messages or completion.", "context_length_exceeded")],
    [
      "Groq's tokens per minute",
      413,
      openai(
        "Request too large for model `llama` on tokens per minute (TPM): Limit 6000, Requested 9000.",
        "rate_limit_exceeded",
        "tokens",
      ),
    ],
    [
      "OpenAI's tokens per minute",
      429,
      openai(
        "Request too large for gpt-4 on tokens per min (TPM): Limit 10000, Requested 12000.",
        "rate_limit_exceeded",
      ),
    ],
    [
      "xAI",
      400,
      { code: "Client", error: "This model's maximum prompt length is 131072 but the request contains 150000." },
    ],
    ["DashScope", 400, openai("Range of input length should be [1, 30720]", "invalid_parameter_error")],
    ["TGI", 422, { error: "Input validation error: `inputs` must have less than 1024 tokens. Given: 1500" }],
    ["Bedrock", 400, { message: "Input is too long for requested model." }],
    [
      "OpenRouter, of vLLM",
      400,
      openrouter(JSON.stringify(flat("maximum context length is 4096", "BadRequestError", 400))),
    ],
    ["a proxy in front", 413, "<html><h1>413 Request Entity Too Large</h1></html>"],
  ],
  unknownModel: [
    ["OpenAI", 404, openai("The model `gpt-9` does not exist or you do not have access to it.", "model_not_found")],
    ["an OpenAI project", 403, openai("Project `p` does not have access to model `gpt-9`", "model_not_found")],
    ["Ollama", 404, openai('model "llama9" not found, try pulling it first', null, "api_error")],
    ["vLLM", 404, flat("The model `llama9` does not exist.", "NotFoundError", 404)],
    ["OpenRouter", 400, { error: { message: "a/b is not a valid model ID", code: 400 } }],
    ["OpenRouter without a host", 404, { error: { message: "No endpoints found for a/b.", code: 404 } }],
    ["Azure", 404, openai("The API deployment for this resource does not exist.", "DeploymentNotFound")],
    ["Gemini", 404, google(404, "models/gemini-9 is not found for API version v1beta", "NOT_FOUND")],
    ["Anthropic", 404, anthropic("model: claude-9", "not_found_error")],
    ["Mistral", 400, flat("Invalid model: mistral-9", "invalid_model", "1500")],
    ["DeepSeek", 400, openai("Model Not Exist")],
    ["Groq", 400, openai("The model `x` has been decommissioned and is no longer supported.", "model_decommissioned")],
    ["a server naming the parameter", 400, openai("No.", "invalid_value", "invalid_request_error", "model")],
  ],
  contentFilter: [
    [
      "Azure",
      400,
      {
        error: {
          ...openai("The response was filtered due to the prompt triggering Azure's content management policy.").error,
          param: "prompt",
          code: "content_filter",
          innererror: { code: "ResponsibleAIPolicyViolation" },
        },
      },
    ],
    ["DeepSeek", 400, openai("Content Exists Risk")],
    ["Anthropic", 400, anthropic("Output blocked by content filtering policy")],
    ["DashScope", 400, openai("Input data may contain inappropriate content.", "data_inspection_failed")],
    ["OpenRouter", 403, { error: { code: 403, message: "Your input was flagged for violence." } }],
    ["OpenAI's images", 400, openai("Your request was rejected by our safety system.", "moderation_blocked")],
  ],
  parameter: [
    ["OpenAI", 400, openai("Unsupported parameter: 'temperature'.", "unsupported_parameter", undefined, "temperature")],
    ["a server with the parameter alone", 400, openai("No.", null, "invalid_request_error", "top_p")],
    ["Groq", 400, openai("property 'logprobs' is unsupported")],
    [
      "Mistral",
      422,
      { detail: [{ type: "extra_forbidden", loc: ["body", "seed"], msg: "Extra inputs are not permitted" }] },
    ],
    ["Ollama", 400, openai("registry.ollama.ai/library/phi does not support tools", null, "api_error")],
    [
      "vLLM's output cap, which names the context",
      400,
      flat(
        "'max_tokens' or 'max_completion_tokens' is too large: 16384. This model's maximum context length is 8192 tokens.",
        "BadRequestError",
        400,
      ),
    ],
    [
      "OpenAI's cap",
      400,
      openai("max_tokens is too large: 50000. This model supports at most 16384 completion tokens."),
    ],
    ["a filter as a parameter", 400, openai("Unknown parameter: 'content_filter'.", "unknown_parameter")],
    [
      "a list of tools",
      400,
      openai("Invalid 'tools': array too long. Expected at most 128.", "array_above_max_length"),
    ],
  ],
  none: [
    [
      "a limit on requests",
      429,
      openai("Rate limit reached on tokens per min (TPM): Limit 10000, Used 9900.", "rate_limit_exceeded"),
    ],
    [
      "Gemini's quota per minute",
      429,
      google(429, "You exceeded your current quota, please check your plan and billing details.", "RESOURCE_EXHAUSTED"),
    ],
    ["Bedrock's throttle", 429, { message: "Too many tokens, please wait before trying again." }],
    ["rights", 403, openai("You have insufficient permissions for this operation.")],
    ["a country", 403, openai("Country, region, or territory not supported", "unsupported_country_region_territory")],
    ["a path", 404, "404 page not found"],
    ["a page", 404, "<!doctype html><title>Not found</title>"],
    [
      "another missing resource",
      404,
      openai("Previous response with id 'resp_1' not found.", "previous_response_not_found"),
    ],
    ["a slow prompt", 500, openai("The request took too long to process.", null, "server_error")],
    ["an overload", 503, openai("The model is overloaded. Please try again later.")],
    ["a model that is loading", 503, openai("Loading model", 503, "unavailable_error")],
    ["nothing", 400, ""],
    ["an unreadable answer", 200, { message: "Your prompt is too long, said the poet." }],
  ],
};

describe.each(Object.entries(table))("%s", (refusal, cases) => {
  it.each(cases)("as %s words it", (_, status, body) => {
    expect(refusalOf(failed(status, body)) ?? "none").toBe(refusal);
    expect(isContextTooLong(failed(status, body))).toBe(refusal === "contextTooLong");
  });
});

it("is recognised through retries, wrapped errors and errors mid-stream", () => {
  const tooLong = failed(400, anthropic("prompt is too long: 205000 tokens > 200000 maximum"));
  const retried = new RetryError({ message: "", reason: "maxRetriesExceeded", errors: [new Error("first"), tooLong] });
  expect(isContextTooLong(retried)).toBe(true);
  expect(isContextTooLong(new Error("wrapped", { cause: tooLong }))).toBe(true);
  expect(isContextTooLong(reportedFailure({ message: "context length of only 4096 tokens" }, ""))).toBe(true);
  const frame = { type: "error", code: "context_length_exceeded", message: "Too long.", param: null };
  expect(isContextTooLong(new StreamProviderError({ ...frame, data: frame }))).toBe(true);
  const ended = { type: "response.failed", response: { error: { code: "insufficient_quota", message: "No." } } };
  expect(refusalOf(new StreamProviderError({ message: "No.", data: ended }))).toBe("credit");
});

it.each([undefined, null, "context_length_exceeded", new Error("prompt is too long")])(
  "is not recognised in an error that is not a provider's: %s",
  (thrown) => expect(refusalOf(thrown)).toBeNull(),
);

it("is not recognised in text that a server repeats from the prompt", () => {
  const body = { detail: [{ type: "missing", loc: ["body"], msg: "Field required", input: "prompt is too long" }] };
  expect(isContextTooLong(failed(422, body))).toBe(false);
});
