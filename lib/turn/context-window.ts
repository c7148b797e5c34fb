// Fits a model call into the model's context (docs/protocol.md §4.1, decision 0035). Instructions,
// tools, the question and this turn's own output are always sent; of the history, as many of the
// newest exchanges as fit, each whole. Pure: tokens are counted through a port.
import type { ModelMessage, ToolSet } from "ai";
import type { ChatMessage, Memory, Source } from "./chunks";
import { instructionsFor, modelMessages } from "./prompt";
import { sizeOf, toolsText, truncateToolResults } from "./prompt-size";
import { quotePassages } from "./quote-passages";
import type { ContextPorts } from "./run-input";
import type { FittedCall, Prompt } from "./steps";
import { bytesPerToken } from "./usage";

export type PromptInput = {
  /** The branch up to and including the question. */
  history: ChatMessage[];
  /** The chat has older messages than `history`. */
  historyIsCut: boolean;
  /** Parts this answer already has. */
  partialAnswer: ChatMessage["parts"];
  sources: Source[];
  fenceCode: string;
  /** Catalogue id. */
  modelId: string;
  /** Replaces Rivulet's own. */
  instructions: string | undefined;
  tools: ToolSet | undefined;
  maxOutputTokens: number | undefined;
};

/** The mandatory part of the prompt exceeds the model's context. Nothing was sent. */
export class ContextExceeded extends Error {}

/**
 * Share of the context reserved for the answer, if the output cap would leave little for the
 * prompt.
 */
const outputShare = 1 / 4;
/**
 * Exchanges are dropped in groups, so that several turns share a prompt prefix and hit the
 * provider's cache.
 */
const groupSizes = [8, 4, 2];

type SizedMessages = { messages: ModelMessage[]; tokens: number };
type FittedHistory = SizedMessages & { from: number; shortened: number };
type FittedPrompt = FittedHistory & { passages: number };

export class ContextWindow implements Prompt {
  /** What the last call left out; null if nothing. */
  memory: Memory | null = null;
  readonly #conversation: PromptInput;
  readonly #ports: ContextPorts;
  /** Exchanges (a question and its answer), oldest first. */
  readonly #exchanges: ChatMessage[][];
  readonly #currentMessages: ChatMessage[];
  readonly #sizedExchanges = new Map<string, SizedMessages & { shortened: number }>();
  #uncutMessages: ModelMessage[] | undefined;
  #fixedText: string | undefined;
  #sentTokens = 0;
  #shrunk = false;

  constructor(conversation: PromptInput, ports: ContextPorts) {
    const { history } = conversation;
    this.#conversation = conversation;
    this.#ports = ports;
    const question = history.findLastIndex(({ role }) => role === "user");
    const at = question === -1 ? history.length : question;
    this.#exchanges = exchangesOf(history.slice(0, at));
    this.#currentMessages = history.slice(at);
  }

  /** Throws ContextExceeded. */
  async fit(stepMessages: ModelMessage[]): Promise<FittedCall> {
    const { history, sources, instructions, maxOutputTokens: cap } = this.#conversation;
    const context = this.#ports.modelContext();
    const binding = context.known || this.#shrunk;
    const answerTokens = Math.min(cap ?? context.tokens, Math.floor(context.tokens * outputShare));
    const budget = context.tokens - answerTokens;
    this.#uncutMessages ??= await this.#messages(history, sources.length);
    let fitted: FittedPrompt = {
      messages: [...this.#uncutMessages, ...stepMessages],
      tokens: 0,
      from: 0,
      shortened: 0,
      passages: sources.length,
    };
    if (context.tokens !== Number.POSITIVE_INFINITY) {
      const bytes = bytesOf(fitted.messages) + Buffer.byteLength(await this.#fixedPrompt());
      // A tokenizer never yields more tokens than bytes, so most conversations need no counting.
      if (bytes <= budget) fitted.tokens = Math.ceil(bytes / bytesPerToken);
      else fitted = await this.#trim(stepMessages, budget, binding);
      this.#sentTokens = fitted.tokens;
    }
    this.memory = this.#memoryOf(fitted);
    return {
      messages: fitted.messages,
      instructions: instructionsFor(sources.slice(0, fitted.passages), instructions),
      maxOutputTokens: cap && binding ? Math.min(cap, context.tokens - fitted.tokens) : cap,
    };
  }

  shrink(error: unknown): boolean {
    if (!this.#ports.contextRefused(error, this.#sentTokens)) return false;
    const isFirst = !this.#shrunk;
    this.#shrunk = true;
    return isFirst;
  }

  /** Drops, in this order: older exchanges, this turn's long tool results, the last passages. */
  async #trim(stepMessages: ModelMessage[], budget: number, binding: boolean): Promise<FittedPrompt> {
    const { sources } = this.#conversation;
    const fixed = await this.#ports.countTokens(await this.#fixedPrompt());
    const present = [...(await this.#messages(this.#currentMessages, 0)), ...stepMessages];
    let needed = fixed + (await this.#count(present));
    let passages = sources.length;
    let shortened = 0;
    if (binding && needed + (await this.#passageTokens(passages)) > budget) {
      const truncated = truncateToolResults(present);
      shortened = truncated.count;
      needed = fixed + (await this.#count(truncated.messages));
      while (passages > 0 && needed + (await this.#passageTokens(passages)) > budget) passages--;
    }
    needed += await this.#passageTokens(passages);
    if (binding && needed > budget) throw new ContextExceeded("What must be sent is longer than the model's context.");
    const history = await this.#fitHistory(budget - needed);
    const quoted = [...(await this.#messages(this.#currentMessages, passages)), ...stepMessages];
    return {
      messages: [...history.messages, ...(shortened > 0 ? truncateToolResults(quoted).messages : quoted)],
      tokens: needed + history.tokens,
      from: history.from,
      shortened: history.shortened + shortened,
      passages,
    };
  }

  /** Whole if it fits; otherwise with tool results truncated in all exchanges but the newest. */
  async #fitHistory(budget: number): Promise<FittedHistory> {
    const untruncated = await this.#newestExchanges(budget, () => false);
    if (untruncated.from === 0) return untruncated;
    const newest = this.#exchanges.length - 1;
    return this.#newestExchanges(budget, (index) => index < newest || untruncated.from > newest);
  }

  /** The newest exchanges that fit. */
  async #newestExchanges(budget: number, isTruncated: (index: number) => boolean): Promise<FittedHistory> {
    const kept: (SizedMessages & { shortened: number })[] = [];
    let tokens = 0;
    let from = this.#exchanges.length;
    for (; from > 0; from--) {
      const exchange = await this.#sizedExchange(from - 1, isTruncated(from - 1));
      if (tokens + exchange.tokens > budget) break;
      tokens += exchange.tokens;
      kept.unshift(exchange);
    }
    const sum = (part: typeof kept) => part.reduce((total, each) => total + each.tokens, 0);
    for (const size of groupSizes) {
      const aligned = Math.ceil(from / size) * size;
      const rest = kept.slice(aligned - from);
      // Using at least half of the room is worth more than a cache hit.
      if (sum(rest) < budget / 2) continue;
      kept.splice(0, aligned - from);
      from = aligned;
    }
    const shortened = kept.reduce((total, exchange) => total + exchange.shortened, 0);
    return { messages: kept.flatMap(({ messages }) => messages), tokens: sum(kept), from, shortened };
  }

  async #sizedExchange(index: number, isTruncated: boolean): Promise<SizedMessages & { shortened: number }> {
    const key = `${index} ${isTruncated}`;
    let exchange = this.#sizedExchanges.get(key);
    if (!exchange) {
      const { tools, modelId } = this.#conversation;
      const untruncated = isTruncated
        ? (await this.#sizedExchange(index, false)).messages
        : await modelMessages({ history: this.#exchanges[index] ?? [], modelId, tools });
      const { messages, count } = isTruncated ? truncateToolResults(untruncated) : { messages: untruncated, count: 0 };
      exchange = { messages, tokens: await this.#count(messages), shortened: count };
      this.#sizedExchanges.set(key, exchange);
    }
    return exchange;
  }

  async #messages(history: ChatMessage[], passages: number): Promise<ModelMessage[]> {
    const { modelId, tools, partialAnswer } = this.#conversation;
    return modelMessages({
      history,
      modelId,
      tools,
      partialAnswer,
      ...(passages > 0 && { passages: this.#quotedPassages(passages) }),
    });
  }

  #quotedPassages(passages: number): string {
    const { sources, fenceCode } = this.#conversation;
    return quotePassages(sources.slice(0, passages), fenceCode);
  }

  async #passageTokens(passages: number): Promise<number> {
    return passages === 0 ? 0 : this.#ports.countTokens(this.#quotedPassages(passages));
  }

  async #count(messages: ModelMessage[]): Promise<number> {
    let sum = 0;
    for (const message of messages) {
      const { text, tokens } = sizeOf(message);
      sum += tokens + (await this.#ports.countTokens(text));
    }
    return sum;
  }

  /** Sent with every call besides the messages. */
  async #fixedPrompt(): Promise<string> {
    const { sources, instructions, tools } = this.#conversation;
    this.#fixedText ??= `${instructionsFor(sources, instructions) ?? ""}\n${await toolsText(tools)}`;
    return this.#fixedText;
  }

  #memoryOf({ from, shortened, passages }: FittedPrompt): Memory | null {
    const { historyIsCut, sources } = this.#conversation;
    const first = this.#exchanges[from]?.[0] ?? this.#currentMessages[0];
    const memory: Memory = {
      ...((from > 0 || historyIsCut) && first && { firstMessageId: first.id }),
      ...(shortened > 0 && { shortenedToolResults: shortened }),
      ...(passages < sources.length && { leftOutPassages: sources.length - passages }),
    };
    return Object.keys(memory).length > 0 ? memory : null;
  }
}

function exchangesOf(past: ChatMessage[]): ChatMessage[][] {
  const exchanges: ChatMessage[][] = [];
  for (const message of past) {
    if (message.role === "user" || exchanges.length === 0) exchanges.push([]);
    exchanges.at(-1)?.push(message);
  }
  return exchanges;
}

function bytesOf(messages: ModelMessage[]): number {
  return messages.map(sizeOf).reduce((sum, { text, tokens }) => sum + Buffer.byteLength(text) + tokens, 0);
}
