// Repairable refusals: what the model's server does not support is removed, and the call is retried
// once. One table. Anything the client asked for is never removed: the call then fails.
import type { LanguageModelV4CallOptions } from "@ai-sdk/provider";
import { APICallError, type LanguageModelMiddleware } from "ai";
import { fieldsOption } from "./request-fields";
import { type Repair, stateRepairs } from "./state-repairs";

type Params = LanguageModelV4CallOptions;

/** Gemma says "Developer instruction"; templates list the roles they allow. */
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
  // Before `tools`: providers name the call a signature or reasoning belongs to.
  ...stateRepairs,
  {
    // Before `tools`: servers list the roles they accept, and "tool" is one.
    name: "system role",
    refusal: noSystemRole,
    apply: systemIntoQuestion,
    lasting: true,
  },
  {
    // Sent by OpenAI's own adapter for reasoning models.
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
    // Ollama: "… does not support tools". vLLM and llama.cpp name a flag, gateways "tool use",
    // others a "function call".
    name: "tools",
    // Bounded: maxReadCharacters.
    refusal: /^(?!.*(?:\broles?\b|signature|\bassistant\b.{0,40}\btool\b)).*(?:\btools?\b|tool[-_]|\bfunction.?call)/is,
    apply: withoutOptionalTools,
    lasting: true,
  },
  {
    // OpenAI's reasoning models behind gateways.
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
/** One refusal may be the model's mistake; a second one shows how the server behaves. */
const refusalsToRemember = 2;
/** The operator may put another model or a newer server at the address. */
const rememberMs = 10 * 60_000;

export type RepairOptions = {
  /** The adapter's option namespace; without it single fields cannot be removed. */
  provider: string | undefined;
  /** This server's default output cap. */
  defaultCap: number;
  nowMs?: () => number;
};

/**
 * One per model, as it remembers what that model's server refuses. Each repair is tried at most
 * once per call.
 */
export function repairRequests({
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

/** Empty if not a refusal. */
function wordsOf(error: unknown): string {
  if (!APICallError.isInstance(error) || !statuses.has(error.statusCode ?? 0)) return "";
  return `${error.message} ${error.responseBody ?? ""}`.slice(0, maxReadCharacters);
}

/** The run reduced the server's own cap; see lib/turn/steps.ts. */
function isCappedToFit({ maxOutputTokens, providerOptions }: Params): boolean {
  return maxOutputTokens !== undefined && providerOptions?.rivulet?.cappedToFit === true;
}

/** A run marks its own tools with `providerOptions: {rivulet: {optional: true}}`. */
export function withoutOptionalTools(params: Params): Params | null {
  const isOptional = (tool: NonNullable<Params["tools"]>[number]) =>
    tool.type === "function" && tool.providerOptions?.rivulet?.optional === true;
  if (!params.tools?.some(isOptional)) return null;
  const tools = params.tools.filter((tool) => !isOptional(tool));
  return tools.length > 0 ? { ...params, tools } : { ...params, tools: undefined, toolChoice: undefined };
}

/** Moves the instructions to the start of the first question. */
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

/** The adapter copies unknown options into the body. */
function renamedCap(params: Params, provider: string | undefined): Params | null {
  const { maxOutputTokens: cap, providerOptions } = params;
  if (cap === undefined || provider === undefined) return null;
  const options = { ...providerOptions?.[provider], max_completion_tokens: cap };
  return { ...params, maxOutputTokens: undefined, providerOptions: { ...providerOptions, [provider]: options } };
}

/** Request fields to remove; read by the adapter's transform (`sentBody`). */
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
 * The final body. A tool call gets an empty text, since some servers refuse null; invalid JSON
 * arguments go back as received. The client's own fields override what the adapter makes of them.
 */
export function sentBody({
  [dropField]: dropped = [],
  [fieldsOption]: fields = {},
  // An option of OpenAI's own adapter, unknown to this one.
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

/** A speaker's name belongs to the message, and an image's detail level to its URL. */
function contentOf(parts: SentPart[]): object {
  const name = parts.find((part) => part.name)?.name;
  const content = parts.map(({ name: _, rivulet_detail: detail, ...part }) =>
    detail ? { ...part, image_url: { ...part.image_url, detail } } : part,
  );
  return { ...(name && { name }), content };
}

type SentCall = { function: { arguments: string } };

/**
 * The adapter encodes non-JSON arguments as a JSON string. Valid arguments are an object, so a
 * string is always such an encoding.
 */
function unquoted(call: SentCall): SentCall {
  const { arguments: json } = call.function;
  return json.startsWith('"')
    ? { ...call, function: { ...call.function, arguments: JSON.parse(json) as string } }
    : call;
}
