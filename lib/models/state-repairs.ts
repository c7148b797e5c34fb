// Refusals about provider state in its own earlier answers: reasoning, signatures, encrypted items.
// Rows for the table in repairs.ts. Patterns are applied to a bounded number of characters.
import type { LanguageModelV4CallOptions, LanguageModelV4Message, LanguageModelV4Prompt } from "@ai-sdk/provider";

type Params = LanguageModelV4CallOptions;
export type Repair = {
  name: string;
  /** Matches the server's text, of which at most `maxReadCharacters` are read. */
  refusal: RegExp;
  /** The call without what was refused; null if nothing may be removed. */
  apply(params: Params): Params | null;
  /** The refusal concerns the model or its server, not just this call. */
  lasting: boolean;
};

type Assistant = Extract<LanguageModelV4Message, { role: "assistant" }>;

/**
 * Stale, from another conversation, or misplaced: OpenAI's items, signatures of Anthropic and
 * Google.
 */
// Bounded: maxReadCharacters of repairs.ts.
const badState = new RegExp(
  [
    "encrypted.?content",
    "invalid.{0,20}signature",
    "corrupt.{0,20}signature",
    "signature.{0,40}(?:invalid|not valid|corrupt|mismatch)",
    "thinking.signature",
    "without its required",
    "item.{0,120} not found",
    "thinking.{0,40}cannot be modified",
  ].join("|"),
  "i",
);

export const stateRepairs: Repair[] = [
  {
    // If earlier turns are bound to a prompt that has changed since, they are refused in every
    // later turn.
    name: "state of earlier turns",
    refusal: badState,
    apply: (params) => withPrompt(params, (message, inTurn) => (inTurn ? message : withoutState(message))),
    lasting: true,
  },
  {
    name: "state",
    refusal: badState,
    apply: (params) => withPrompt(params, withoutState),
    lasting: false,
  },
  {
    // Gemini: calls of another model. Google documents this value for them.
    name: "missing signature",
    refusal: /(?:missing|lacks).{0,20}thought.?signature/i,
    apply: (params) => withPrompt(params, (message, inTurn) => (inTurn ? withSignatures(message) : message)),
    lasting: false,
  },
  {
    // Groq: "property 'reasoning_content' is unsupported". Mistral: "extra_forbidden", with the
    // location.
    name: "reasoning text",
    // Bounded: maxReadCharacters.
    refusal:
      /^(?=.*\breasoning\w*)(?=.*(?:unsupported|not supported|not permitted|forbidden|un(?:known|expected|recognized)))/is,
    apply: (params) => withPrompt(params, withoutReasoning),
    lasting: true,
  },
  {
    // DeepSeek refuses calls without reasoning, even those made by another model.
    name: "missing reasoning",
    // Bounded: maxReadCharacters.
    refusal: /^(?=.*\breasoning_content\b)(?=.*(?:passed back|missing|required))/is,
    apply: (params) => withPrompt(params, withSomeReasoning),
    lasting: true,
  },
];

/** Null if nothing changes. `inTurn`: after the last question. */
function withPrompt(params: Params, change: (message: Assistant, inTurn: boolean) => Assistant): Params | null {
  const question = params.prompt.findLastIndex(({ role }) => role === "user");
  const prompt: LanguageModelV4Prompt = params.prompt.map((message, index) =>
    message.role === "assistant" ? change(message, index > question) : message,
  );
  return prompt.some((message, index) => message !== params.prompt[index]) ? { ...params, prompt } : null;
}

/** Plain reasoning stays: some servers require it. */
function withoutState(message: Assistant): Assistant {
  if (message.content.every(({ providerOptions }) => providerOptions === undefined)) return message;
  const content = message.content
    .filter(({ type, providerOptions }) => providerOptions === undefined || !type.startsWith("reasoning"))
    .map(({ providerOptions: _, ...part }) => part as Assistant["content"][number]);
  return { ...message, content };
}

function withSignatures(message: Assistant): Assistant {
  const lacks = (part: Assistant["content"][number]) =>
    part.type === "tool-call" && !Object.values(part.providerOptions ?? {}).some((each) => each?.thoughtSignature);
  if (!message.content.some(lacks)) return message;
  const google = { thoughtSignature: "skip_thought_signature_validator" };
  const content = message.content.map((part) =>
    lacks(part) ? { ...part, providerOptions: { ...part.providerOptions, google } } : part,
  );
  return { ...message, content };
}

function withoutReasoning(message: Assistant): Assistant {
  const content = message.content.filter(({ type }) => type !== "reasoning");
  return content.length < message.content.length ? { ...message, content } : message;
}

/** Some of these servers refuse an empty text too. */
function withSomeReasoning(message: Assistant): Assistant {
  if (message.content.some((part) => part.type === "reasoning" && part.text !== "")) return message;
  return { ...message, content: [{ type: "reasoning", text: "(not kept)" }, ...message.content] };
}
