import { expect, test } from "vitest";
import {
  anthropicFields,
  bedrockFields,
  callOptions,
  compatibleFields,
  deepseekFields,
  type FieldSupport,
  googleFields,
  groqFields,
  localFields,
  mistralFields,
  openaiChatFields,
  openrouterFields,
  responsesFields,
  xaiFields,
} from "./request-fields";

const schema = { type: "object" };
const strict = { type: "json_schema", json_schema: { name: "x", schema, strict: true } };

test.each<[string, FieldSupport, object]>([
  [
    "a compatible server",
    compatibleFields("mine"),
    { mine: { rivulet_fields: { user: "u", parallel_tool_calls: false } } },
  ],
  ["OpenRouter", openrouterFields, { openrouter: { user: "u", parallel_tool_calls: false } }],
  ["OpenAI", openaiChatFields, { openai: { user: "u", parallelToolCalls: false } }],
  ["Responses", responsesFields("azure"), { azure: { user: "u", parallelToolCalls: false } }],
  ["Anthropic", anthropicFields, { anthropic: { metadata: { userId: "u" }, disableParallelToolUse: true } }],
  ["Groq", groqFields, { groq: { user: "u", parallelToolCalls: false } }],
  ["xAI", xaiFields, { xai: { user: "u", parallelToolCalls: false } }],
])("a field reaches the adapter under its own option name: %s", (_, support, providerOptions) => {
  const fields = { user: "u", parallel_tool_calls: false };
  expect(callOptions(support, { settings: {}, fields })).toEqual({ providerOptions });
});

test.each<[string, FieldSupport, object | undefined]>([
  ["OpenAI", openaiChatFields, { openai: { strictJsonSchema: true } }],
  ["Mistral", mistralFields, { mistral: { strictJsonSchema: true } }],
  ["Google", googleFields, undefined],
])(
  "format and effort use the SDK's own options where there is no raw body to put them in: %s",
  (_, support, providerOptions) => {
    const fields = { response_format: strict, reasoning_effort: "low" };
    expect(callOptions(support, { settings: {}, fields })).toEqual({
      responseFormat: { type: "json", name: "x", description: undefined, schema },
      reasoning: "low",
      ...(providerOptions && { providerOptions }),
    });
  },
);

test.each<[string, FieldSupport]>([
  ["logit_bias", responsesFields("openai")],
  ["functions", openaiChatFields],
  ["logprobs", anthropicFields],
  ["user", googleFields],
  ["service_tier", mistralFields],
  ["user", deepseekFields],
  ["verbosity", groqFields],
  ["metadata", bedrockFields],
  ["response_format", localFields],
])("a field that an adapter cannot pass on is rejected by name: %s", (field, support) => {
  const value = field === "response_format" ? strict : "x";
  const message = expect.stringMatching(new RegExp(`^${field}: `));
  expect(() => callOptions(support, { settings: {}, fields: { [field]: value } })).toThrow(
    expect.objectContaining({ code: "bad_request", publicMessage: message }),
  );
});

test.each<[string, FieldSupport, object]>([
  ["stop", responsesFields("openai"), { stopSequences: ["x"] }],
  ["seed", anthropicFields, { seed: 1 }],
  ["presence_penalty", xaiFields, { presencePenalty: 1 }],
  ["frequency_penalty", bedrockFields, { frequencyPenalty: 1 }],
])("a setting that an adapter ignores is rejected by name: %s", (field, support, settings) => {
  const message = expect.stringMatching(new RegExp(`^${field}: `));
  expect(() => callOptions(support, { settings })).toThrow(expect.objectContaining({ publicMessage: message }));
});
