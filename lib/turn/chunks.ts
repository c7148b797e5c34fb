// The alphabet of a turn: the AI SDK's UI message stream chunks, narrowed to what Rivulet puts into them.
// Nothing else happens in a turn; log, wire, fold, dialects and pages all speak this (docs/protocol.md §4).
// Types and pure predicates only: no clock, no I/O, nothing of a framework.
import type { FinishReason, InferUIMessageChunk, JSONValue, UIMessage } from "ai";

/** How a turn ended, and `running` before that. */
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

/** What a person may know of a failure: never a key, a provider's URL, a prompt or a stack. */
export type TurnError = {
  code: TurnErrorCode;
  message: string;
  retryable: boolean;
  /** What of the class it is. */
  reason?: TurnErrorReason;
  /** The field of the client's request that the provider does not take. */
  param?: string;
  /** Seconds that the provider wants to be left alone. */
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
  /** Of the input, read from the provider's cache; of the output, thought. Only where the provider tells. */
  cachedTokens?: number;
  reasoningTokens?: number;
  /** By the model's price, where one is known; the provider's bill may have discounts, as for cached prompts. */
  costUsd?: number;
};

/** Milliseconds from the start of the run. `firstTokenMs` is null when no text came. */
export type Timing = { firstTokenMs: number | null; durationMs: number; tokensPerSecond: number | null };

/** What of a conversation the model was not sent, since its context holds only so much. */
export type Memory = {
  /** The first message that was sent, when there are messages before it. */
  firstMessageId?: string;
  /** Results of tools of which the model was sent the beginning only. */
  shortenedToolResults?: number;
  /** Passages that were found and not sent: those with the highest ordinals. */
  leftOutPassages?: number;
};

/** Set in three steps: `start`, then `message-metadata` just before the terminal. */
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
  /** 0..1: how much of the answer its cited sources support. Null without sources. */
  confidence?: number | null;
  /** 0..1: the share of the answer's sentences that a cited source supports. Null without sources. */
  groundedness?: number | null;
  /** Of the last request to the model. */
  finishReason?: FinishReason;
  /** Only when something was left out. */
  memory?: Memory;
  /**
   * In `start`, of an answer that goes on where another broke off: that one's message id. Its parts are replayed first, and
   * a page keeps showing them until the replay has caught up.
   */
  continues?: string;
};

export type StatusData = {
  stage: "retrieve" | "generate";
  label: string;
  state: "active" | "done";
  detail?: string;
  /** Of a model that loads or thinks: when that began, in milliseconds from the start of the run. */
  sinceMs?: number;
};

export type TurnData = {
  turnId: string;
  chatId?: string;
  userMessageId?: string;
  status: TurnState;
  error?: TurnError;
};

/** Behind a reasoning that took its time. Not in its metadata, which is the provider's. */
export type ReasoningData = { durationMs: number };

/** The tokens of an answer with their log probabilities, as the provider told them, for a client that asked. */
export type LogprobsData = { content: JSONValue[] };

/** An answer that its provider keeps, and the number of its first event; see upstream.ts. */
export type UpstreamMark = { responseId: string; after: number };

// A type alias, not an interface: the AI SDK asks for an index signature.
export type DataParts = {
  status: StatusData;
  turn: TurnData;
  reasoning: ReasoningData;
  logprobs: LogprobsData;
  upstream: UpstreamMark;
};

/** A message as stored, sent and drawn. */
export type ChatMessage = UIMessage<MessageMetadata, DataParts>;

/** One event of a turn. */
export type TurnChunk = InferUIMessageChunk<ChatMessage>;

/** A chunk with its place in the log: seq = 1, 2, 3 … without hole or repeat. `json` is the chunk as stored, encoded once. */
export type LoggedChunk = { seq: number; chunk: TurnChunk; json: string };

export type Terminal = Extract<TurnChunk, { type: "finish" | "abort" | "error" }>;

/** The last chunk of every turn, and of nothing else. */
export function isTerminal(chunk: TurnChunk): chunk is Terminal {
  return chunk.type === "finish" || chunk.type === "abort" || chunk.type === "error";
}

/** One passage that the answer may cite as `[ordinal]`. Travels in `source-document` chunks. */
export type Source = {
  /** Equal to the passage's id. */
  sourceId: string;
  mediaType: string;
  title: string;
  filename: string;
  /** 1, 2, 3 …: the number of the citation. */
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

/** The source in a `source-document` chunk or part; null when it is not one of ours. */
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
