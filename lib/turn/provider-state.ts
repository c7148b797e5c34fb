// What a provider wants back of its own answers besides their words: encrypted reasoning,
// signatures, ids (decision 0036). The AI SDK carries it as the provider metadata of a part. It is
// opaque, goes back only to the model that made it, and does not leave the server otherwise. Pure.
import { isToolUIPart } from "ai";
import type { ChatMessage } from "./chunks";

type Part = ChatMessage["parts"][number];
type Message = Pick<ChatMessage, "role" | "parts"> & { metadata?: { model?: string } };

/** Of a part of a message, of a chunk, and of a part of a model's stream. */
type Carrier = {
  type: string;
  providerMetadata?: unknown;
  callProviderMetadata?: unknown;
  resultProviderMetadata?: unknown;
};

/** The metadata of a source is Rivulet's own, or says where it was found. */
export function hasState(carrier: Carrier): boolean {
  if (carrier.type.startsWith("source")) return false;
  const { providerMetadata, callProviderMetadata, resultProviderMetadata } = carrier;
  return (providerMetadata ?? callProviderMetadata ?? resultProviderMetadata) !== undefined;
}

export function withoutState<T extends { type: string }>(carrier: T): T {
  if (!hasState(carrier)) return carrier;
  const { providerMetadata, callProviderMetadata, resultProviderMetadata, ...rest } = carrier as T & Carrier;
  return rest as unknown as T;
}

/** Longer than any encrypted reasoning that providers send today. In characters of JSON. */
const maxPartCharacters = 256 * 1024;
const maxAnswerCharacters = 1024 * 1024;

/** Bounds the state of one answer. What is too large is left out, and its provider misses it. */
export class StateLimit {
  #characters = 0;
  /** What came last for each open part: some providers repeat it in every delta. */
  readonly #last = new Map<string, string>();

  /** The same part, or one without state. */
  apply<T extends { type: string; id?: string }>(part: T): T {
    if (!hasState(part)) return part;
    const state = JSON.stringify((part as Carrier).providerMetadata) ?? "";
    const key = `${part.type.split("-", 1)[0]} ${part.id}`;
    if (this.#last.get(key) === state) return part;
    if (state.length > maxPartCharacters || this.#characters + state.length > maxAnswerCharacters)
      return withoutState(part);
    this.#characters += state.length;
    if (part.type.endsWith("-end")) this.#last.delete(key);
    else this.#last.set(key, state);
    return part;
  }
}

/**
 * What the model is given of a message: words and calls, and of its own answers the reasoning that
 * it wants back.
 */
export function spokenParts({ role, parts, metadata }: Message, modelId: string): Part[] {
  // What a client sent as an answer may have come from this model; its parts carry no state.
  const model = metadata?.model ?? modelId;
  // What stands beside a question is its client's: who speaks, how closely to look at an image.
  if (role !== "assistant") return parts.filter(isSpoken);
  if (model !== modelId) return parts.filter(isSpoken).map(withoutState);
  const hasCalls = parts.some(isToolUIPart);
  return withoutLooseReasoning(parts.filter((part) => isSpoken(part) || isWanted(part, hasCalls)));
}

function isSpoken(part: Part): boolean {
  return part.type === "text" || part.type === "step-start" || part.type === "file" || part.type.startsWith("tool-");
}

/**
 * Plain reasoning goes back in answers with calls only: there servers demand it (DeepSeek),
 * elsewhere some refuse it and none reads it.
 */
function isWanted(part: Part, hasCalls: boolean): boolean {
  if (part.type === "reasoning") return hasState(part) || (hasCalls && part.text !== "");
  return part.type === "reasoning-file" && hasState(part);
}

/**
 * Reasoning belongs to the text or call that follows it in its step. Without that, as where an
 * answer broke off, providers refuse its state.
 */
function withoutLooseReasoning(parts: Part[]): Part[] {
  const steps: Part[][] = [[]];
  for (const part of parts) {
    if (part.type === "step-start") steps.push([]);
    steps.at(-1)?.push(part);
  }
  return steps.flatMap((step) => {
    const last = step.findLastIndex(isOutput);
    return step.filter((part, index) => !isReasoning(part) || index < last || (last >= 0 && isStepState(part)));
  });
}

function isReasoning({ type }: Part): boolean {
  return type === "reasoning" || type === "reasoning-file";
}

function isOutput(part: Part): boolean {
  if (part.type === "text") return part.text !== "" || hasState(part);
  if (isToolUIPart(part)) return isAnswered(part);
  return !isReasoning(part) && part.type !== "step-start";
}

/** State that lib/models/chat-state.ts puts behind all that a step says. */
export function isStepState(part: Part): boolean {
  return "providerMetadata" in part && part.providerMetadata?.rivulet !== undefined;
}

/** Other calls are not given to the model. */
function isAnswered(part: Extract<Part, { toolCallId: string }>): boolean {
  if (part.state === "output-available") return !part.preliminary;
  return part.state === "output-error" || part.state === "output-denied" || part.state === "approval-responded";
}
