// Refusals that can be repaired: what a model's server does not take is left out, and the call made once more. One table of them. What a
// client asked for is never left out: then the call fails.
import type { LanguageModelV4CallOptions } from "@ai-sdk/provider";
import { APICallError, type LanguageModelMiddleware } from "ai";
import { fieldsOption } from "./request-fields";
import { type Repair, stateRepairs } from "./state-repairs";

type Params = LanguageModelV4CallOptions;

/** Gemma says "Developer instruction", templates say which roles are left. */
// Bounded: maxReadCharacters.
const noSystemRole = new RegExp(
  [
    "system (?:role|message|prompt|instruction)s? (?:is |are )?(?:not|un|disallowed|forbidden)",
    "(?:not |un)support\\w* .{0,40}\\bsystem\\b",
    "developer instruction",
    "only .{0,20}\\buser\\b.{0,6}(?:and|or|,).{0,6}assistant\\b",
    "\\brole\\W{1,8}system\\b.{0,20}\\b(?:not|invalid|un)",
    "(?:invalid|un(?:expected|known|recognized)) (?:message )?role\\W{1,5}system\\b",
    "\\bsystem\\b\\W{1,4}is (?:not|none) (?:one )?of\\b",
    "should be \\W?user\\W{1,3}or \\W?assistant\\b",
  ].join("|"),
  "i",
);

const repairs = (provider: string | undefined, defaultCap: number): Repair[] => [
  // Before `tools`: providers name a signature's or a reasoning's call.
  ...stateRepairs,
  {
    // Before `tools`: servers list the roles that they take, and "tool" is one of them.
    name: "system role",
    refusal: noSystemRole,
    apply: systemIntoQuestion,
    lasting: true,
  },
  {
    // Of OpenAI's own adapter, for models that reason.
    name: "developer role",
    // Bounded: maxReadCharacters.
    refusal: /\bdeveloper\b.*\brole|\brole.*\bdeveloper\b|developer.{0,2} (?:messages? )?(?:is |are )?(?:not|un)/is,
    apply: withoutDeveloperRole,
    lasting: true,
  },
  {
    name: "usage in streams",
    refusal: /stream_options|include_usage/i,
    apply: (params) => withoutFields(params, provider, "stream_options"),
    lasting: true,
  },
  {
    name: "parallel tool calls",
    refusal: /parallel_tool_calls/i,
    apply: (params) => withoutFields(params, provider, "parallel_tool_calls"),
    lasting: true,
  },
  {
    // Ollama: "… does not support tools". vLLM and llama.cpp name a flag, gateways "tool use", others a "function call".
    name: "tools",
    // Bounded: maxReadCharacters.
    refusal: /^(?!.*(?:\broles?\b|signature|\bassistant\b.{0,40}\btool\b)).*(?:\btools?\b|tool[-_]|\bfunction.?call)/is,
    apply: withoutOptionalTools,
    lasting: true,
  },
  {
    // OpenAI's reasoning models, behind gateways.
    name: "name of the output cap",
    // Bounded: maxReadCharacters.
    refusal: /max_tokens.{0,80}not support.{0,80}max_completion_tokens|\buse .?max_completion_tokens/is,
    apply: (params) => renamedCap(params, provider),
    lasting: true,
  },
  {
    // The server then applies its own, smaller limit. Whether a cap fits may depend on the prompt.
    name: "output cap",
    refusal: /max_(?:completion_|output_)?tokens|maximum context length/i,
    apply: (params) =>
      params.maxOutputTokens === defaultCap || isCappedToFit(params) ? { ...params, maxOutputTokens: undefined } : null,
    lasting: false,
  },
];

const statuses = new Set([400, 404, 422, 500, 501]);
const maxReadCharacters = 4_000;
/** One refusal may be a mistake of the model; a second one is what the server is like. */
const refusalsToRemember = 2;
/** The operator may put another model or a newer server at the address. */
const rememberMs = 10 * 60_000;

export type RepairOptions = {
  /** The name under which the adapter reads its options; without one no single field can be left out. */
  provider: string | undefined;
  /** The cap on the output that is this server's own default. */
  defaultCap: number;
  nowMs?: () => number;
};

/** One for each model, for it remembers what that model's server refuses. Each repair is tried at most once a call. */
export function repairing({
  provider,
  defaultCap,
  nowMs = () => performance.now(),
}: RepairOptions): LanguageModelMiddleware {
  const known = repairs(provider, defaultCap).map((repair) => ({ ...repair, confirmed: 0, untilMs: -Infinity }));

  async function call<T>(params: Params, send: (params: Params) => PromiseLike<T>): Promise<T> {
    let current = params;
    for (const repair of known)
      if (repair.confirmed >= refusalsToRemember && nowMs() < repair.untilMs)
        current = repair.apply(current) ?? current;
    const tried: typeof known = [];
    for (;;) {
      try {
        const answer = await send(current);
        for (const repair of tried.filter(({ lasting }) => lasting)) {
          repair.confirmed = nowMs() < repair.untilMs ? repair.confirmed + 1 : 1;
          repair.untilMs = nowMs() + rememberMs;
        }
        return answer;
      } catch (error) {
        const words = wordsOf(error);
        const next = known
          .filter((repair) => !tried.includes(repair) && repair.refusal.test(words))
          .map((repair) => ({ repair, repaired: repair.apply(current) }))
          .find(({ repaired }) => repaired !== null);
        if (!next?.repaired) throw error;
        current = next.repaired;
        tried.push(next.repair);
      }
    }
  }

  return {
    specificationVersion: "v4",
    wrapGenerate: ({ params, model }) => call(params, (each) => model.doGenerate(each)),
    wrapStream: ({ params, model }) => call(params, (each) => model.doStream(each)),
  };
}

/** Empty for what is no refusal. */
function wordsOf(error: unknown): string {
  if (!APICallError.isInstance(error) || !statuses.has(error.statusCode ?? 0)) return "";
  return `${error.message} ${error.responseBody ?? ""}`.slice(0, maxReadCharacters);
}

/** The run made the server's own cap smaller; see lib/turn/steps.ts. */
function isCappedToFit({ maxOutputTokens, providerOptions }: Params): boolean {
  return maxOutputTokens !== undefined && providerOptions?.rivulet?.cappedToFit === true;
}

/** A run marks its own tools by `providerOptions: {rivulet: {optional: true}}`. */
export function withoutOptionalTools(params: Params): Params | null {
  const isOptional = (tool: NonNullable<Params["tools"]>[number]) =>
    tool.type === "function" && tool.providerOptions?.rivulet?.optional === true;
  if (!params.tools?.some(isOptional)) return null;
  const tools = params.tools.filter((tool) => !isOptional(tool));
  return tools.length > 0 ? { ...params, tools } : { ...params, tools: undefined, toolChoice: undefined };
}

/** The instructions as the beginning of the first question. */
function systemIntoQuestion(params: Params): Params | null {
  const instructions = params.prompt.flatMap((message) => (message.role === "system" ? [message.content] : []));
  const rest = params.prompt.filter((message) => message.role !== "system");
  const at = rest.findIndex((message) => message.role === "user");
  const question = rest[at];
  if (instructions.length === 0 || question?.role !== "user") return null;
  const text = { type: "text" as const, text: `${instructions.join("\n\n")}\n\n` };
  return { ...params, prompt: rest.with(at, { ...question, content: [text, ...question.content] }) };
}

function withoutDeveloperRole(params: Params): Params | null {
  const openai = params.providerOptions?.openai ?? {};
  if (openai.systemMessageMode === "system") return null;
  return {
    ...params,
    providerOptions: { ...params.providerOptions, openai: { ...openai, systemMessageMode: "system" } },
  };
}

/** The adapter puts what it does not know of its options into the body. */
function renamedCap(params: Params, provider: string | undefined): Params | null {
  const { maxOutputTokens: cap, providerOptions } = params;
  if (cap === undefined || provider === undefined) return null;
  const options = { ...providerOptions?.[provider], max_completion_tokens: cap };
  return { ...params, maxOutputTokens: undefined, providerOptions: { ...providerOptions, [provider]: options } };
}

/** The request's own fields that it is sent without; the adapter's transform reads them (withoutDropped). */
const dropField = "rivulet_drop";

function withoutFields(params: Params, provider: string | undefined, ...fields: string[]): Params | null {
  if (provider === undefined) return null;
  const options = params.providerOptions?.[provider] ?? {};
  const dropped = (options[dropField] ?? []) as string[];
  if (fields.every((field) => dropped.includes(field))) return null;
  return {
    ...params,
    providerOptions: { ...params.providerOptions, [provider]: { ...options, [dropField]: [...dropped, ...fields] } },
  };
}

/**
 * The body as it is sent. A call of tools has an empty text, since some servers refuse null; arguments that are no JSON go
 * back as they came. What the client itself asked for counts more than what the adapter makes of it.
 */
export function sentBody({
  [dropField]: dropped = [],
  [fieldsOption]: fields = {},
  // An option of OpenAI's own adapter, of which this one knows nothing.
  systemMessageMode: _,
  messages,
  ...body
}: Record<string, unknown>) {
  for (const field of dropped as string[]) delete body[field];
  const spoken = (messages as Record<string, unknown>[] | undefined)?.map((message) => ({
    ...message,
    ...(message.role === "assistant" && message.content === null && { content: "" }),
    ...(Array.isArray(message.tool_calls) && { tool_calls: message.tool_calls.map(unquoted) }),
    ...(Array.isArray(message.content) && contentOf(message.content)),
  }));
  return { ...body, messages: spoken, ...(fields as object) };
}

type SentPart = { name?: string; rivulet_detail?: string; image_url?: object };

/** A speaker's name belongs to the message, and how closely an image is looked at to its address. */
function contentOf(parts: SentPart[]): object {
  const name = parts.find((part) => part.name)?.name;
  const content = parts.map(({ name: _, rivulet_detail: detail, ...part }) =>
    detail ? { ...part, image_url: { ...part.image_url, detail } } : part,
  );
  return { ...(name && { name }), content };
}

type SentCall = { function: { arguments: string } };

/** The adapter makes a JSON string of arguments that are no JSON. Those of a call are an object, so a string is not meant. */
function unquoted(call: SentCall): SentCall {
  const { arguments: json } = call.function;
  return json.startsWith('"')
    ? { ...call, function: { ...call.function, arguments: JSON.parse(json) as string } }
    : call;
}
