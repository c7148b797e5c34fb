// A model's context size: from the operator or its server, else by name, else a default;
// temporarily less after its server refused a call as too long (decision 0035). Per process.
import { processSingleton } from "@/lib/process-singletons";
import type { ContextPorts, ModelContext } from "@/lib/turn/run-input";
import type { ReadyModel } from "./catalogue";
import { openaiContextTokens } from "./openai-contexts";
import { providerReport } from "./provider-report";
import { isContextTooLong } from "./refusals";
import { countTokens } from "./token-count";

/**
 * Default: servers of other models refuse what is too long, and most models released since 2024
 * take this much.
 */
const defaultTokens = 131_072;
/**
 * Ollama silently truncates long prompts, so never exceed its own default for machines with less
 * than 24 GiB of video memory.
 */
const ollamaTokens = 4_096;
/** No chat model takes less, so a smaller number in a refusal means something else. */
const minTokens = 1_024;
/** The operator may put a larger model or a newer server at the address. */
const rememberMs = 10 * 60_000;
/** Other tokenizers yield up to this many times as many tokens for the same text, rarely more. */
const margins = { own: 1.05, other: 1.25 };

type Learned = ModelContext & { untilMs: number };

/** By model id. */
const learnedContexts = processSingleton("contexts", () => new Map<string, Learned>());

type Model = Pick<ReadyModel, "id" | "provider" | "abilities">;

/** Sends everything. */
export const unlimitedContext: ContextPorts = {
  modelContext: () => ({ tokens: Number.POSITIVE_INFINITY, known: true }),
  countTokens: async () => 0,
  contextRefused: () => false,
};

export function contextOf(model: Model, nowMs = () => performance.now()): ContextPorts {
  if (model.provider === "local") return unlimitedContext;
  const learned = learnedContexts();
  const byName = model.provider === "openai" ? openaiContextTokens(model.id.slice("openai:".length)) : null;
  const tokens = model.abilities.contextTokens ?? byName;
  const first: ModelContext = tokens
    ? { tokens, known: true }
    : { tokens: model.provider === "ollama" ? ollamaTokens : defaultTokens, known: false };
  const margin = byName === null ? margins.other : margins.own;
  const modelContext = () => {
    const found = learned.get(model.id);
    return found && nowMs() < found.untilMs && found.tokens < first.tokens ? found : first;
  };
  return {
    modelContext,
    countTokens: async (text) => Math.ceil((await countTokens(text)) * margin),
    contextRefused(error, sentTokens) {
      if (!isContextTooLong(error)) return false;
      const limit = limitIn(error);
      // The prompt was within this limit by our count, so the model counts more tokens than we do.
      const known = limit !== null && limit < sentTokens;
      const tokens = Math.max(minTokens, known ? limit : Math.floor(sentTokens / 2));
      if (tokens >= modelContext().tokens) return false;
      learned.set(model.id, { tokens, known, untilMs: nowMs() + rememberMs });
      return true;
    },
  };
}

/** Where servers name the limit among other numbers. */
const limits = [
  // Anthropic, TGI: "190000 + 20000 > 200000", "must be <= 4096"
  /[>≤]=? ?(\d[\d,]{2,9})/,
  /<= ?(\d[\d,]{2,9})/,
  // OpenAI, vLLM, SGLang, llama.cpp, LM Studio, xAI: "maximum context length is 8192", "context
  // size (4096 tokens)"
  /(?:context|prompt|model|max) (?:length|size|window|limit)\D{0,40}(\d[\d,]{2,9})/i,
  // Mistral: "32768 maximum context length"
  /(\d[\d,]{2,9}) (?:tokens? )?maximum/i,
  // Gemini, Kimi, Cohere, Groq
  /(?:tokens allowed|token limit|cannot exceed|\blimit)\D{0,10}(\d[\d,]{2,9})/i,
  // DashScope
  /length should be \[\d{1,9}, ?(\d[\d,]{2,9})\]/,
  // llama.cpp, beside its sentence
  /\bn_ctx\D{0,5}(\d[\d,]{2,9})/,
];

function limitIn(error: unknown): number | null {
  const report = providerReport(error);
  for (const words of report ? [report.message, report.body] : [])
    for (const limit of limits) {
      const tokens = Number(limit.exec(words)?.[1]?.replaceAll(",", ""));
      if (tokens >= minTokens) return tokens;
    }
  return null;
}
