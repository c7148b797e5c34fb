// Token usage of a turn for budgets: the provider's figures, or an estimate (docs/operations.md,
// "Money"). Pure.
import type { ChatMessage, TurnChunk, Usage } from "./chunks";

export type TurnUsage = {
  /** As the provider counted; null if it reported nothing, then the other two estimate it. */
  tokens: number | null;
  /** Answered provider requests: each read the prompt once. */
  requests: number;
  /** Estimated output tokens. */
  written: number;
};

/** UTF-8 bytes per token. English has about four, Chinese three, so three rarely underestimates. */
export const bytesPerToken = 3;

export function estimateTokens(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / bytesPerToken);
}

/** US dollars per million tokens. */
export type Price = { inputUsd: number; outputUsd: number };

/** Adds the cost, rounded to a millionth of a dollar. */
export function priced(usage: Usage, price: Price | undefined): Usage {
  if (!price) return usage;
  // Dollars per million tokens are millionths of a dollar per token.
  const millionths = usage.inputTokens * price.inputUsd + usage.outputTokens * price.outputUsd;
  return { ...usage, costUsd: Math.round(millionths) / 1_000_000 };
}

/** `chunks`: the whole turn; `message`: its fold. */
export function usageOf(chunks: TurnChunk[], message: ChatMessage): TurnUsage {
  const requests = chunks.filter(({ type }) => type === "start-step").length;
  const { usage, status } = message.metadata ?? {};
  if (usage && usage.totalTokens > 0) return { tokens: usage.totalTokens, requests, written: 0 };
  const modelWasCalled = chunks.some((chunk) => chunk.type === "data-status" && chunk.data.stage === "generate");
  // A provider that refuses bills nothing. One cut off after it was asked has read the prompt.
  if (!modelWasCalled || (status === "failed" && requests === 0)) return { tokens: 0, requests, written: 0 };
  const written = message.parts.reduce((sum, part) => sum + writtenIn(part), 0);
  return { tokens: null, requests: Math.max(1, requests), written };
}

function writtenIn(part: ChatMessage["parts"][number]): number {
  if (part.type === "text" || part.type === "reasoning") return estimateTokens(part.text);
  return "toolCallId" in part && part.input !== undefined ? estimateTokens(JSON.stringify(part.input)) : 0;
}
