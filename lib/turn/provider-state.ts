// State a provider expects back with its own answers: encrypted reasoning, signatures, ids
// (decision 0036). The AI SDK carries it as a part's provider metadata. It is opaque, is only sent
// back to the model that made it, and otherwise never leaves the server. Pure.
import { isToolUIPart } from "ai";
import type { ChatMessage } from "./chunks";

type Part = ChatMessage["parts"][number];
type Message = Pick<ChatMessage, "role" | "parts"> & { metadata?: { model?: string } };

/** Matches a message part, a chunk and a part of a model's stream. */
type Carrier = {
  type: string;
  providerMetadata?: unknown;
  callProviderMetadata?: unknown;
  resultProviderMetadata?: unknown;
};

/** Source metadata does not count: it is Rivulet's own or the location of the source. */
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

/** Characters of JSON. Larger than any encrypted reasoning providers send today. */
const maxPartCharacters = 256 * 1024;
const maxAnswerCharacters = 1024 * 1024;

/**
 * Bounds the state of one answer. Oversized state is dropped, and the provider does not get it
 * back.
 */
export class StateLimit {
  #characters = 0;
  /** Last state per open part: some providers repeat it in every delta. */
  readonly #last = new Map<string, string>();

  /** Returns the part, with its state removed if over the limit. */
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
 * Parts of a message to send to the model: text and calls, plus, for its own answers, the reasoning
 * it expects back.
 */
export function promptParts({ role, parts, metadata }: Message, modelId: string): Part[] {
  // An answer sent by a client may come from this model; its parts carry no state.
  const model = metadata?.model ?? modelId;
  // Metadata on a question is the client's own: speaker name, image detail.
  if (role !== "assistant") return parts.filter(isPromptPart);
  if (model !== modelId) return parts.filter(isPromptPart).map(withoutState);
  const hasCalls = parts.some(isToolUIPart);
  return dropDanglingReasoning(parts.filter((part) => isPromptPart(part) || isExpectedReasoning(part, hasCalls)));
}

function isPromptPart(part: Part): boolean {
  return part.type === "text" || part.type === "step-start" || part.type === "file" || part.type.startsWith("tool-");
}

/**
 * Plain reasoning is only returned in answers with tool calls: DeepSeek's servers demand it there,
 * while elsewhere some providers refuse it and none reads it.
 */
function isExpectedReasoning(part: Part, hasCalls: boolean): boolean {
  if (part.type === "reasoning") return hasState(part) || (hasCalls && part.text !== "");
  return part.type === "reasoning-file" && hasState(part);
}

/**
 * Reasoning belongs to the text or call that follows it in its step. Without one, e.g. where an
 * answer broke off, providers refuse its state.
 */
function dropDanglingReasoning(parts: Part[]): Part[] {
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

/** State that lib/models/chat-state.ts appends to a step. */
export function isStepState(part: Part): boolean {
  return "providerMetadata" in part && part.providerMetadata?.rivulet !== undefined;
}

/** Unanswered calls are not sent to the model. */
function isAnswered(part: Extract<Part, { toolCallId: string }>): boolean {
  if (part.state === "output-available") return !part.preliminary;
  return part.state === "output-error" || part.state === "output-denied" || part.state === "approval-responded";
}
