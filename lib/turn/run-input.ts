// What a run gets (its input) and what it may touch (its ports). Types only.
import type { LanguageModel, ToolSet } from "ai";
import type { ChatMessage, SearchMode, Source, TurnChunk, TurnError } from "./chunks";
import type { PhaseListener } from "./model-status";
import type { TurnPrompt } from "./turn-input";
import type { Price } from "./usage";

/** Why a run must end early: the `reason` of its abort signal. */
export type Halt = { status: "stopped" } | { status: "interrupted" | "failed"; error: TurnError };

type ModelParams = Parameters<Extract<LanguageModel, { specificationVersion: "v4" }>["doStream"]>[0];

export type RunInput = {
  turnId: string;
  chatId: string;
  messageId: string;
  userMessageId: string;
  /** Catalogue model id, as shown to users. */
  modelId: string;
  model: LanguageModel;
  price?: Price;
  tools?: ToolSet;
  /**
   * The client can show a consent request and send the decision; if not, calls that need consent
   * are refused.
   */
  canAsk?: boolean;
  /** ISO 8601. */
  createdAt: string;
  /** The branch up to and including the question. */
  history: ChatMessage[];
  /** The branch has messages older than `history`. */
  historyIsCut?: boolean;
  question: string;
  searchMode: SearchMode;
  /** Message id of the answer that this one continues. */
  continues?: string;
  /** Chunks already in the turn's log (see log-prefix.ts). They are not yielded again. */
  logPrefix?: TurnChunk[];
  /**
   * Resume reading an answer that another process started, if its provider keeps it; see
   * upstream.ts.
   */
  resumesUpstream?: boolean;
  /** Replaces Rivulet's own instructions. */
  instructions?: string;
  settings?: TurnPrompt["settings"];
  toolChoice?: TurnPrompt["toolChoice"];
  /** Call options that are not settings. */
  call?: Partial<Pick<ModelParams, "providerOptions" | "reasoning" | "responseFormat">>;
  /**
   * The client answers all calls with its next request, including calls of unknown tools or with
   * invalid JSON.
   */
  clientRunsTools?: boolean;
  /** False: do not retry a failed call. */
  repeats?: false | undefined;
};

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

export type RunPorts = ContextPorts & {
  /** Monotonic milliseconds. */
  nowMs(): number;
  /** Number of searchable documents. 0 skips the retrieve stage. */
  countDocuments(): Promise<number>;
  /** Sources for a question, best first. */
  search(question: string): Promise<Source[]>;
  /** An unpredictable code for the fence around this turn's passages. Only the model sees it. */
  fenceCode(): string;
  /** The public error for a model failure. */
  classify(error: unknown): TurnError;
  ground(answer: string, sources: Source[]): { confidence: number; groundedness: number } | null;
  /**
   * Calls the listener when a model that has not started to answer is loading or thinking, and
   * again when it answers.
   */
  onModelPhase(listener: PhaseListener): void;
  /** Receives every failure, for the log. */
  report(error: unknown): void;
};
