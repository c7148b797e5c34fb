// Fits a model call into the model's context (docs/protocol.md §4.1, decision 0035). Instructions,
// tools, the question and this turn's own output are always sent; of the history, as many of the
// newest exchanges as fit, each whole. Pure: tokens are counted through a port.
import type { ModelMessage, ToolSet } from "ai";
import type { ChatMessage, Memory, Source } from "./chunks";
import { quotePassages } from "./passages";
import { instructionsFor, modelMessages } from "./prompt";
import { shortenResults, sizeOf, toolsText } from "./prompt-size";
import type { FittedCall, Prompt } from "./steps";
import { bytesPerToken } from "./usage";

export type ModelContext = {
  /** Shared by prompt and output of one call; `Infinity` sends everything. */
  tokens: number;
  /**
   * False if `tokens` is a guess. A guess only limits the history: the mandatory part may fit after
   * all.
   */
  known: boolean;
};

export type ContextPorts = {
  modelContext(): ModelContext;
  /** Estimates the model's token count for this text, erring high. */
  countTokens(text: string): Promise<number>;
  /**
   * A call with a prompt of `sentTokens` failed. True if the provider refused it as too long, so
   * the context must be smaller than that.
   */
  contextRefused(error: unknown, sentTokens: number): boolean;
};

export type Conversation = {
  /** The branch up to and including the question. */
  history: ChatMessage[];
  /** The chat has older messages than `history`. */
  historyIsCut: boolean;
  /** Parts this answer already has. */
  begun: ChatMessage["parts"];
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

type Sized = { messages: ModelMessage[]; tokens: number };
type Past = Sized & { from: number; shortened: number };
type Cut = Past & { passages: number };

export class ContextWindow implements Prompt {
  /** What the last call left out; null if nothing. */
  memory: Memory | null = null;
  readonly #conversation: Conversation;
  readonly #ports: ContextPorts;
  /** Exchanges (a question and its answer), oldest first. */
  readonly #past: ChatMessage[][];
  readonly #present: ChatMessage[];
  readonly #exchanges = new Map<string, Sized & { shortened: number }>();
  #whole: ModelMessage[] | undefined;
  #fixedText: string | undefined;
  #sentTokens = 0;
  #shrunk = false;

  constructor(conversation: Conversation, ports: ContextPorts) {
    const { history } = conversation;
    this.#conversation = conversation;
    this.#ports = ports;
    const question = history.findLastIndex(({ role }) => role === "user");
    const at = question === -1 ? history.length : question;
    this.#past = exchangesOf(history.slice(0, at));
    this.#present = history.slice(at);
  }

  /** Throws ContextExceeded. */
  async fit(said: ModelMessage[]): Promise<FittedCall> {
    const { history, sources, instructions, maxOutputTokens: cap } = this.#conversation;
    const context = this.#ports.modelContext();
    const binding = context.known || this.#shrunk;
    const answerTokens = Math.min(cap ?? context.tokens, Math.floor(context.tokens * outputShare));
    const room = context.tokens - answerTokens;
    this.#whole ??= await this.#messages(history, sources.length);
    let cut: Cut = { messages: [...this.#whole, ...said], tokens: 0, from: 0, shortened: 0, passages: sources.length };
    if (context.tokens !== Number.POSITIVE_INFINITY) {
      const bytes = bytesOf(cut.messages) + Buffer.byteLength(await this.#fixed());
      // A tokenizer never yields more tokens than bytes, so most conversations need no counting.
      if (bytes <= room) cut.tokens = Math.ceil(bytes / bytesPerToken);
      else cut = await this.#cut(said, room, binding);
      this.#sentTokens = cut.tokens;
    }
    this.memory = this.#memoryOf(cut);
    return {
      messages: cut.messages,
      instructions: instructionsFor(sources.slice(0, cut.passages), instructions),
      maxOutputTokens: cap && binding ? Math.min(cap, context.tokens - cut.tokens) : cap,
    };
  }

  shrink(error: unknown): boolean {
    if (!this.#ports.contextRefused(error, this.#sentTokens)) return false;
    const isFirst = !this.#shrunk;
    this.#shrunk = true;
    return isFirst;
  }

  /** Drops, in this order: older exchanges, this turn's long tool results, the last passages. */
  async #cut(said: ModelMessage[], room: number, binding: boolean): Promise<Cut> {
    const { sources } = this.#conversation;
    const fixed = await this.#ports.countTokens(await this.#fixed());
    const present = [...(await this.#messages(this.#present, 0)), ...said];
    let needed = fixed + (await this.#count(present));
    let passages = sources.length;
    let shortened = 0;
    if (binding && needed + (await this.#passageTokens(passages)) > room) {
      const short = shortenResults(present);
      shortened = short.count;
      needed = fixed + (await this.#count(short.messages));
      while (passages > 0 && needed + (await this.#passageTokens(passages)) > room) passages--;
    }
    needed += await this.#passageTokens(passages);
    if (binding && needed > room) throw new ContextExceeded("What must be sent is longer than the model's context.");
    const past = await this.#pastWithin(room - needed);
    const quoted = [...(await this.#messages(this.#present, passages)), ...said];
    return {
      messages: [...past.messages, ...(shortened > 0 ? shortenResults(quoted).messages : quoted)],
      tokens: needed + past.tokens,
      from: past.from,
      shortened: past.shortened + shortened,
      passages,
    };
  }

  /** Whole if it fits; otherwise with tool results truncated in all exchanges but the newest. */
  async #pastWithin(room: number): Promise<Past> {
    const whole = await this.#newest(room, () => false);
    if (whole.from === 0) return whole;
    const newest = this.#past.length - 1;
    return this.#newest(room, (index) => index < newest || whole.from > newest);
  }

  /** The newest exchanges that fit. */
  async #newest(room: number, isShort: (index: number) => boolean): Promise<Past> {
    const kept: (Sized & { shortened: number })[] = [];
    let tokens = 0;
    let from = this.#past.length;
    for (; from > 0; from--) {
      const exchange = await this.#exchange(from - 1, isShort(from - 1));
      if (tokens + exchange.tokens > room) break;
      tokens += exchange.tokens;
      kept.unshift(exchange);
    }
    const sum = (part: typeof kept) => part.reduce((total, each) => total + each.tokens, 0);
    for (const size of groupSizes) {
      const aligned = Math.ceil(from / size) * size;
      const rest = kept.slice(aligned - from);
      // Using at least half of the room is worth more than a cache hit.
      if (sum(rest) < room / 2) continue;
      kept.splice(0, aligned - from);
      from = aligned;
    }
    const shortened = kept.reduce((total, each) => total + each.shortened, 0);
    return { messages: kept.flatMap(({ messages }) => messages), tokens: sum(kept), from, shortened };
  }

  async #exchange(index: number, isShort: boolean): Promise<Sized & { shortened: number }> {
    const key = `${index} ${isShort}`;
    let exchange = this.#exchanges.get(key);
    if (!exchange) {
      const { tools, modelId } = this.#conversation;
      const whole = isShort
        ? (await this.#exchange(index, false)).messages
        : await modelMessages({ history: this.#past[index] ?? [], modelId, tools });
      const { messages, count } = isShort ? shortenResults(whole) : { messages: whole, count: 0 };
      exchange = { messages, tokens: await this.#count(messages), shortened: count };
      this.#exchanges.set(key, exchange);
    }
    return exchange;
  }

  async #messages(history: ChatMessage[], passages: number): Promise<ModelMessage[]> {
    const { modelId, tools, begun } = this.#conversation;
    return modelMessages({ history, modelId, tools, begun, ...(passages > 0 && { passages: this.#quoted(passages) }) });
  }

  #quoted(passages: number): string {
    const { sources, fenceCode } = this.#conversation;
    return quotePassages(sources.slice(0, passages), fenceCode);
  }

  async #passageTokens(passages: number): Promise<number> {
    return passages === 0 ? 0 : this.#ports.countTokens(this.#quoted(passages));
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
  async #fixed(): Promise<string> {
    const { sources, instructions, tools } = this.#conversation;
    this.#fixedText ??= `${instructionsFor(sources, instructions) ?? ""}\n${await toolsText(tools)}`;
    return this.#fixedText;
  }

  #memoryOf({ from, shortened, passages }: Cut): Memory | null {
    const { historyIsCut, sources } = this.#conversation;
    const first = this.#past[from]?.[0] ?? this.#present[0];
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
