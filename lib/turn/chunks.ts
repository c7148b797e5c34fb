// The chunk types of a turn: the AI SDK's UI message stream chunks, narrowed to what Rivulet puts
// in them. Log, wire, fold, dialects and pages use nothing else (docs/protocol.md §4). Types and
// pure predicates only: no clock, no I/O, no framework.
import type { FinishReason, InferUIMessageChunk, JSONValue, UIMessage } from "ai";

/** How a turn ended; `running` until then. */
export type TurnState = "running" | "complete" | "stopped" | "failed" | "interrupted";
export type FinalState = Exclude<TurnState, "running">;

export type TurnErrorCode =
  | "provider_auth"
  | "provider_rate_limited"
  | "provider_unavailable"
  | "provider_timeout"
  | "provider_invalid"
  | "tool_failed"
  | "storage"
  | "interrupted"
  | "internal";

/** The public part of a failure: never a key, a provider's URL, a prompt or a stack. */
export type TurnError = {
  code: TurnErrorCode;
  message: string;
  retryable: boolean;
  /** Subtype of `code`. */
  reason?: TurnErrorReason;
  /** The request field that the provider rejected. */
  param?: string;
  /** Seconds the provider asked to wait before a retry. */
  retryAfter?: number;
};

export type TurnErrorReason =
  | "model_not_found"
  | "context_length_exceeded"
  | "content_filter"
  | "unsupported_parameter"
  | "insufficient_quota"
  | "unreadable_answer";

export type SearchMode = "all" | "selected" | "none";

export type Usage = {
  inputTokens: number;
  outputTokens: number;
  totalTokens: number;
  /**
   * Input tokens read from the provider's cache, and output tokens spent on reasoning. Set only if
   * the provider reports them.
   */
  cachedTokens?: number;
  reasoningTokens?: number;
  /** From the model's list price, if known. The provider may bill less, e.g. for cached prompts. */
  costUsd?: number;
};

/** Milliseconds since the start of the run. `firstTokenMs` is null if no text arrived. */
export type Timing = { firstTokenMs: number | null; durationMs: number; tokensPerSecond: number | null };

/** What was left out of the prompt to fit the model's context. */
export type Memory = {
  /** First message that was sent, if earlier ones were left out. */
  firstMessageId?: string;
  /** Number of tool results truncated in the prompt. */
  shortenedToolResults?: number;
  /** Number of retrieved passages not sent: those with the highest ordinals. */
  leftOutPassages?: number;
};

/** Set in two places: `start`, then `message-metadata` just before the terminal. */
export type MessageMetadata = {
  turnId: string;
  chatId: string;
  model: string;
  /** ISO 8601, UTC. */
  createdAt: string;
  status?: FinalState;
  error?: TurnError;
  usage?: Usage;
  timing?: Timing;
  searchMode?: SearchMode;
  /** 0..1: how well the cited sources support the answer. Null without sources. */
  confidence?: number | null;
  /** 0..1: share of the answer's sentences supported by a cited source. Null without sources. */
  groundedness?: number | null;
  /** Of the last model call. */
  finishReason?: FinishReason;
  /** Set only if something was left out. */
  memory?: Memory;
  /**
   * In `start`, when this answer continues one that broke off: that answer's message id. Its parts
   * are replayed first, and a page keeps showing the old answer until the replay has caught up.
   */
  continues?: string;
};

export type StatusData = {
  stage: "retrieve" | "generate";
  label: string;
  state: "active" | "done";
  detail?: string;
  /**
   * While a model loads or thinks: when that started, in milliseconds since the start of the run.
   */
  sinceMs?: number;
};

export type TurnData = {
  turnId: string;
  chatId?: string;
  userMessageId?: string;
  status: TurnState;
  error?: TurnError;
};

/**
 * Follows a reasoning part that took noticeable time. Kept out of its metadata, which belongs to
 * the provider.
 */
export type ReasoningData = { durationMs: number };

/** Token log probabilities as the provider reported them, for clients that requested them. */
export type LogprobsData = { content: JSONValue[] };

/**
 * A response that the provider stores, and the sequence number of its first event; see upstream.ts.
 */
export type UpstreamMark = { responseId: string; after: number };

// A type alias, not an interface: the AI SDK requires an index signature.
export type DataParts = {
  status: StatusData;
  turn: TurnData;
  reasoning: ReasoningData;
  logprobs: LogprobsData;
  upstream: UpstreamMark;
};

/** A message as stored, sent and rendered. */
export type ChatMessage = UIMessage<MessageMetadata, DataParts>;

/** One event of a turn. */
export type TurnChunk = InferUIMessageChunk<ChatMessage>;

/**
 * A chunk with its log position: seq = 1, 2, 3 …, gapless and unique. `json` is the stored
 * encoding, serialized once.
 */
export type LoggedChunk = { seq: number; chunk: TurnChunk; json: string };

export type Terminal = Extract<TurnChunk, { type: "finish" | "abort" | "error" }>;

/** True for the last chunk of a turn, and only for that one. */
export function isTerminal(chunk: TurnChunk): chunk is Terminal {
  return chunk.type === "finish" || chunk.type === "abort" || chunk.type === "error";
}

/** A passage the answer may cite as `[ordinal]`. Sent as a `source-document` chunk. */
export type Source = {
  /** Same as the passage's id. */
  sourceId: string;
  mediaType: string;
  title: string;
  filename: string;
  /** Citation number: 1, 2, 3 … */
  ordinal: number;
  /** 0..1. */
  score: number;
  text: string;
  documentId: string;
  chunkId: string;
  metadata: Record<string, string | number>;
};

export function sourceChunk(source: Source): TurnChunk {
  const { sourceId, mediaType, title, filename, ...retrieval } = source;
  return { type: "source-document", sourceId, mediaType, title, filename, providerMetadata: { retrieval } };
}

/** Parses the source from a `source-document` chunk or part; null if Rivulet did not write it. */
export function parseSource(part: {
  sourceId: string;
  mediaType: string;
  title: string;
  filename?: string;
  providerMetadata?: Record<string, unknown>;
}): Source | null {
  const retrieval = part.providerMetadata?.retrieval as
    | Omit<Source, "sourceId" | "mediaType" | "title" | "filename">
    | undefined;
  if (!retrieval) return null;
  return {
    sourceId: part.sourceId,
    mediaType: part.mediaType,
    title: part.title,
    filename: part.filename ?? part.title,
    ...retrieval,
  };
}
