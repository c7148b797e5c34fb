// Chat Completions request fields without an AI SDK setting, and the options in which each adapter
// reads them (docs/protocol.md §6.6). Unsupported fields are refused by name; nothing is dropped.
// Pure.
import type { JSONObject, JSONValue, LanguageModelV4CallOptions } from "@ai-sdk/provider";
import { AppError } from "@/lib/errors";
import type { TurnCall } from "@/lib/turn/turn-input";

type Fields = NonNullable<TurnCall["fields"]>;
type Setting = keyof TurnCall["settings"];

/** What a provider's adapter supports besides the common settings. */
export type FieldSupport = {
  /** The adapter's option namespace. */
  options: string;
  /** Settings the adapter drops with a warning. */
  lacks: readonly Setting[];
  /** Supports speaker names in messages. */
  names?: boolean;
} & (
  | {
      /** A Chat Completions request: fields go into it unchanged. */
      kind: "body";
      toOptions(fields: Fields): JSONObject;
    }
  | {
      kind: "mapped";
      /** Maps a field to the adapter's option. */
      fields: Readonly<Record<string, string | ((value: JSONValue) => JSONObject)>>;
      /** Has an option to enforce the response schema strictly. */
      strictSchema?: boolean;
    }
);

/** Where `sentBody` (repairs.ts) finds the fields for a compatible server. */
export const fieldsOption = "rivulet_fields";

export function compatibleFields(options: string): FieldSupport {
  return { options, lacks: [], names: true, kind: "body", toOptions: (fields) => ({ [fieldsOption]: fields }) };
}

/** Its adapter copies unknown options into the body. */
export const openrouterFields: FieldSupport = {
  options: "openrouter",
  lacks: [],
  kind: "body",
  toOptions: (fields) => fields,
};

const shared = {
  user: "user",
  parallel_tool_calls: "parallelToolCalls",
  service_tier: "serviceTier",
};
const ofOpenAI = {
  ...shared,
  verbosity: "textVerbosity",
  store: "store",
  metadata: "metadata",
  prompt_cache_key: "promptCacheKey",
  prompt_cache_retention: "promptCacheRetention",
  safety_identifier: "safetyIdentifier",
};

/** OpenAI's own Chat Completions. */
export const openaiChatFields: FieldSupport = {
  options: "openai",
  lacks: [],
  kind: "mapped",
  fields: { ...ofOpenAI, logit_bias: "logitBias", prediction: "prediction" },
  strictSchema: true,
};

export function responsesFields(options: string): FieldSupport {
  const lacks = ["seed", "stopSequences", "presencePenalty", "frequencyPenalty"] as const;
  return { options, lacks, kind: "mapped", fields: ofOpenAI, strictSchema: true };
}

export const anthropicFields: FieldSupport = {
  options: "anthropic",
  lacks: ["seed", "presencePenalty", "frequencyPenalty"],
  kind: "mapped",
  fields: {
    user: (userId) => ({ metadata: { userId } }),
    parallel_tool_calls: (parallel) => ({ disableParallelToolUse: parallel === false }),
  },
};

export const googleFields: FieldSupport = { options: "google", lacks: [], kind: "mapped", fields: {} };

export const mistralFields: FieldSupport = {
  options: "mistral",
  lacks: [],
  kind: "mapped",
  fields: { parallel_tool_calls: "parallelToolCalls", prompt_cache_key: "promptCacheKey" },
  strictSchema: true,
};

export const deepseekFields: FieldSupport = {
  options: "deepseek",
  lacks: ["seed"],
  kind: "mapped",
  fields: {},
  strictSchema: true,
};

export const groqFields: FieldSupport = {
  options: "groq",
  lacks: [],
  kind: "mapped",
  fields: shared,
  strictSchema: true,
};

export const xaiFields: FieldSupport = {
  options: "xai",
  lacks: ["stopSequences", "presencePenalty", "frequencyPenalty"],
  kind: "mapped",
  fields: { ...shared, store: "store", prompt_cache_key: "promptCacheKey", safety_identifier: "safetyIdentifier" },
};

export const bedrockFields: FieldSupport = {
  options: "bedrock",
  lacks: ["seed", "presencePenalty", "frequencyPenalty"],
  kind: "mapped",
  fields: {},
};

/**
 * Does no sampling, so ignoring sampling settings loses nothing, and no third party learns who
 * asked.
 */
export const localFields: FieldSupport = {
  options: "local",
  lacks: ["stopSequences"],
  kind: "mapped",
  fields: Object.fromEntries(
    ["user", "safety_identifier", "store", "service_tier", "prompt_cache_key", "parallel_tool_calls"].map((field) => [
      field,
      () => ({}),
    ]),
  ),
};

/** As clients name them. */
const settingNames: Record<Setting, string> = {
  temperature: "temperature",
  topP: "top_p",
  maxOutputTokens: "max_completion_tokens",
  stopSequences: "stop",
  seed: "seed",
  presencePenalty: "presence_penalty",
  frequencyPenalty: "frequency_penalty",
};

/** The client's name for an AI SDK setting; undefined if it is no client field. */
export function fieldOfSetting(setting: string): string | undefined {
  const names: Record<string, string> = {
    ...settingNames,
    responseFormat: "response_format",
    suffix: "suffix",
    reasoning: "reasoning_effort",
  };
  return Object.hasOwn(names, setting) ? names[setting] : undefined;
}

type Extras = Pick<LanguageModelV4CallOptions, "reasoning" | "responseFormat" | "providerOptions">;

const efforts = ["none", "minimal", "low", "medium", "high", "xhigh"] as const;

/**
 * Call options besides the settings. Throws bad_request naming a field the provider does not
 * support.
 */
export function callOptions(support: FieldSupport, { settings, fields = {} }: TurnCall): Extras {
  for (const setting of support.lacks) if (settings[setting] !== undefined) throw refused(settingNames[setting]);
  if (Object.keys(fields).length === 0) return {};
  if (support.kind === "body") return { providerOptions: { [support.options]: support.toOptions(fields) } };
  const { reasoning_effort: effort, response_format: format, ...rest } = fields;
  const options: JSONObject = {};
  for (const [field, value] of Object.entries(rest)) {
    const option = support.fields[field];
    // Requests what every model does.
    if (field === "modalities") continue;
    if (option === undefined || value === undefined) throw refused(field);
    Object.assign(options, typeof option === "string" ? { [option]: value } : option(value));
  }
  const reasoning = efforts.find((each) => each === effort);
  if (effort !== undefined && (!reasoning || support.options === "local")) throw refused("reasoning_effort");
  if (format !== undefined && support.options === "local") throw refused("response_format");
  const { responseFormat, strict } = formatOf(format);
  if (responseFormat?.schema && support.strictSchema) options.strictJsonSchema = strict;
  return {
    ...(reasoning && { reasoning }),
    ...(responseFormat && { responseFormat }),
    ...(Object.keys(options).length > 0 && { providerOptions: { [support.options]: options } }),
  };
}

type JsonFormat = Extract<LanguageModelV4CallOptions["responseFormat"], { type: "json" }>;

function formatOf(format: JSONValue | undefined): { responseFormat?: JsonFormat; strict: boolean } {
  const { type, json_schema: described } = (format ?? {}) as JSONObject;
  if (type === "json_object") return { responseFormat: { type: "json" }, strict: false };
  if (type !== "json_schema") return { strict: false };
  const { name, description, schema, strict } = described as {
    name: string;
    description?: string;
    schema?: JsonFormat["schema"];
    strict?: boolean | null;
  };
  return { responseFormat: { type: "json", name, description, schema }, strict: strict ?? false };
}

function refused(field: string): AppError {
  return new AppError("bad_request", `${field}: the provider of this model does not accept it. Leave it out.`);
}
