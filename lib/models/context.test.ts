import { APICallError } from "ai";
import { describe, expect, it } from "vitest";
import type { ChatMessage } from "@/lib/turn/chunks";
import { ContextWindow } from "@/lib/turn/context-window";
import { modelMessages } from "@/lib/turn/prompt";
import { contextOf } from "./context";

let models = 0;
/** A new model each time, since refusals are remembered per model. */
const contextFor = (provider: string, abilities = {}, nowMs?: () => number, name = `scripted-${++models}`) =>
  contextOf({ id: `${provider}:${name}`, provider, abilities }, nowMs);

function refused(message: string, more = {}): APICallError {
  const responseBody = JSON.stringify({ error: { message, code: "context_length_exceeded", ...more } });
  return new APICallError({ message, url: "", requestBodyValues: {}, statusCode: 400, responseBody });
}

describe("without a context overflow the context is", () => {
  it("the operator's or the model server's value", () => {
    const context = contextFor("ollama", { contextTokens: 32_768 });
    expect(context.modelContext()).toEqual({ tokens: 32_768, known: true });
  });

  it.each([
    ["gpt-5-mini", 272_000],
    ["gpt-5-mini-2025-08-07", 272_000],
    ["gpt-5-chat-latest", 128_000],
    ["gpt-4o-mini", 128_000],
    ["gpt-4", 8_192],
    ["o3", 200_000],
  ])("the known value for OpenAI's %s", (name, tokens) => {
    expect(contextFor("openai", {}, undefined, name).modelContext()).toEqual({ tokens, known: true });
  });

  it("a guess for other models: small for Ollama, which truncates silently", () => {
    expect(contextFor("openai").modelContext()).toEqual({ tokens: 131_072, known: false });
    expect(contextFor("ollama").modelContext()).toEqual({ tokens: 4_096, known: false });
  });

  it("unlimited for the local model, which reads no history", () => {
    expect(contextFor("local").modelContext().tokens).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("a context overflow", () => {
  it.each([
    ["OpenAI, vLLM", 8_192, "This model's maximum context length is 8192 tokens. However, you requested 30000 tokens."],
    ["vLLM", 4_096, "The decoder prompt (length 30000) is longer than the maximum model length of 4096."],
    ["newer vLLM", 4_096, "You passed 30000 input tokens. However, the model's context length is only 4096 tokens."],
    ["SGLang", 4_096, "The input (30000 tokens) is longer than the model's context length (4096 tokens)."],
    ["llama.cpp", 4_096, "the request exceeds the available context size (4096 tokens), try increasing it"],
    ["LM Studio", 4_096, "However, the model is loaded with context length of only 4096 tokens"],
    ["xAI", 20_000, "This model's maximum prompt length is 20000 but the request contains 30000 tokens."],
    ["Anthropic", 20_000, "prompt is too long: 30000 tokens > 20000 maximum"],
    ["Anthropic, with the answer", 20_000, "input length and `max_tokens` exceed context limit: 19000 + 20000 > 20000"],
    ["Gemini", 20_000, "The input token count (30000) exceeds the maximum number of tokens allowed (20000)."],
    ["Mistral", 20_000, "Prompt contains 30000 tokens, too large for model with 20000 maximum context length"],
    ["TGI", 4_096, "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 30000 `inputs` tokens"],
    ["Kimi", 20_000, "Invalid request: Your request exceeded model token limit: 20,000"],
    [
      "Groq's account limit",
      6_000,
      "Request too large for model: Limit 6000, Requested 30000, please reduce your message size",
    ],
  ])("of %s names the limit", (_, tokens, message) => {
    const context = contextFor("openai");
    expect(context.contextRefused(refused(message), 25_000)).toBe(true);
    expect(context.modelContext()).toMatchObject({ tokens, known: true });
  });

  it("gives its limit in a field of llama.cpp", () => {
    const context = contextFor("openai");
    context.contextRefused(refused("too long", { n_prompt_tokens: 30_000, n_ctx: 4_096 }), 25_000);
    expect(context.modelContext()).toMatchObject({ tokens: 4_096, known: true });
  });

  it.each([
    ["names no limit", "Please reduce the length of the messages or completion."],
    ["names a limit that the prompt meets by our count", "maximum context length is 30000 tokens"],
    ["names an implausible limit", "maximum context length is 12 tokens"],
  ])("that %s halves the prompt size, as a guess", (_, message) => {
    const context = contextFor("openai");
    expect(context.contextRefused(refused(message), 25_000)).toBe(true);
    expect(context.modelContext()).toMatchObject({ tokens: 12_500, known: false });
  });

  it("never sets less than any model accepts", () => {
    const context = contextFor("openai");
    expect(context.contextRefused(refused("too many input tokens"), 1_200)).toBe(true);
    expect(context.modelContext().tokens).toBe(1_024);
    expect(context.contextRefused(refused("too many input tokens"), 900)).toBe(false);
  });

  it("for another reason is ignored", () => {
    const context = contextFor("openai");
    const other = new APICallError({
      message: "no",
      url: "",
      requestBodyValues: {},
      statusCode: 429,
      responseBody: "",
    });
    expect(context.contextRefused(other, 25_000)).toBe(false);
    expect(context.modelContext().tokens).toBe(131_072);
  });

  it("is remembered for its model for ten minutes", () => {
    let nowMs = 0;
    const name = "remembered";
    contextFor("openai", {}, () => nowMs, name).contextRefused(refused("maximum context length is 8192"), 25_000);
    const later = contextFor("openai", {}, () => nowMs, name);
    expect(later.modelContext().tokens).toBe(8_192);
    expect(contextFor("openai").modelContext().tokens).toBe(131_072);
    nowMs = 10 * 60_000;
    expect(later.modelContext().tokens).toBe(131_072);
  });
});

it("counts more tokens for other models' tokenizers than for OpenAI's", async () => {
  const text = "Rivers run to the sea, and the sea is not full. ".repeat(50);
  const own = await contextFor("openai", {}, undefined, "gpt-5-mini").countTokens(text);
  const other = await contextFor("openai").countTokens(text);
  expect(other).toBeGreaterThan(1.15 * own);
});

describe("the cost of fitting a prompt", () => {
  const text = "Rivers run to the sea, and the sea is not full. ".repeat(20);
  const chatOf = (messages: number, n = ++models): ChatMessage[] =>
    Array.from({ length: messages - 1 }, (_, index) => ({
      id: `${index}`,
      role: index % 2 === 0 ? "user" : "assistant",
      parts: [{ type: "text", text: `${n} ${index} ${text}` }],
    })).concat({ id: "question", role: "user", parts: [{ type: "text", text: "And now?" }] }) as ChatMessage[];

  /** Mean over several rounds, each with its own chat: the warm cost of one user's turn. */
  async function cpuMs(messages: number, work: (history: ChatMessage[]) => Promise<unknown>, again = false) {
    const rounds = 20;
    const chats = Array.from({ length: rounds }, () => chatOf(messages));
    if (again) for (const chat of chats) await work(chat);
    await work(chatOf(messages));
    const before = process.cpuUsage();
    for (const chat of chats) await work(chat);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1_000 / rounds;
  }

  const whole = (history: ChatMessage[]) =>
    modelMessages({ history, modelId: "m", tools: undefined, partialAnswer: [] });
  const within = (contextTokens: number) => (history: ChatMessage[]) =>
    new ContextWindow(
      {
        ...{ history, historyIsCut: false, partialAnswer: [], sources: [], fenceCode: "", modelId: "m" },
        ...{ instructions: undefined, tools: undefined, maxOutputTokens: 16_384 },
      },
      contextFor("openai", { contextTokens }),
    ).fit([]);

  it("is near that of converting the messages, unless tokens must be counted; counts are cached", async () => {
    const small = { before: await cpuMs(6, whole), now: await cpuMs(6, within(131_072)) };
    const long = {
      before: await cpuMs(500, whole),
      fits: await cpuMs(500, within(1_000_000)),
      cut: await cpuMs(500, within(65_536)),
      cutAgain: await cpuMs(500, within(65_536), true),
    };
    const shown = (ms: Record<string, number>) =>
      Object.entries(ms).map(([name, value]) => `${name} ${value.toFixed(2)} ms`);
    console.log(`CPU of a prompt: 6 messages ${shown(small)}; 500 messages ${shown(long)}`);
    expect(small.now).toBeLessThan(small.before + 1);
    expect(long.fits).toBeLessThan(2 * long.before + 2);
    expect(long.cutAgain).toBeLessThan(long.cut);
  });
});
