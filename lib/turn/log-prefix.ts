// A turn's log may already hold a prefix when its run starts: the kept part of an answer being
// continued, or what was stored before the turn's owner died. This file describes that prefix and
// joins the model's chunks to it (docs/protocol.md §4). Pure.
import { isToolUIPart } from "ai";
import { ChunkState } from "./chunk-state";
import { type ChatMessage, parseSource, type TurnChunk } from "./chunks";
import { unfinishedTool } from "./ending";
import { unfoldParts } from "./fold";
import { generateStatus } from "./model-status";
import { isStepState } from "./provider-state";

type Opening = {
  turnId: string;
  chatId: string;
  messageId: string;
  userMessageId: string;
  /** Catalogue model id. */
  modelId: string;
  /** ISO 8601. */
  createdAt: string;
  /** Message id of the answer that this one continues. */
  continues?: string;
};

/** The first chunk of every turn. */
export function startChunk({ turnId, chatId, messageId, modelId, createdAt, continues }: Opening): TurnChunk {
  const messageMetadata = { turnId, chatId, model: modelId, createdAt, ...(continues ? { continues } : {}) };
  return { type: "start", messageId, messageMetadata };
}

/** The first two chunks of every turn. */
export function opening(input: Opening): TurnChunk[] {
  const { turnId, chatId, userMessageId } = input;
  return [
    startChunk(input),
    { type: "data-turn", data: { turnId, chatId, userMessageId, status: "running" }, transient: true },
  ];
}

const typesWithoutContent = new Set<TurnChunk["type"]>([
  "start",
  "start-step",
  "text-start",
  "text-end",
  "source-document",
  "data-turn",
  "data-status",
  "data-upstream",
]);

/**
 * True for answer content: text, reasoning, a tool call or the end of a step. The start of a step or
 * a text alone does not count.
 */
export function isAnswerContent({ type }: TurnChunk): boolean {
  return !typesWithoutContent.has(type);
}

/**
 * True if these chunks hold no answer content, so the run can start as if they were its own
 * opening. Sources count only if retrieval finished: another search might find different ones.
 */
export function isUnanswered(chunks: readonly TurnChunk[]): boolean {
  if (chunks.some(isAnswerContent)) return false;
  const { sources, statuses } = new ChunkState(chunks);
  return sources.length === 0 || statuses.get("retrieve")?.state === "done";
}

/** All text of these chunks, without separators. */
export function concatText(chunks: readonly TurnChunk[]): string {
  return chunks.map((chunk) => (chunk.type === "text-delta" ? chunk.delta : "")).join("");
}

/** The last text part, if these chunks leave it open. */
export function openTextOf(chunks: readonly TurnChunk[]): { id: string; text: string } | null {
  const index = chunks.findLastIndex(({ type }) => type === "text-start");
  const [start, ...said] = index < 0 ? [] : chunks.slice(index);
  if (start?.type !== "text-start") return null;
  const { id } = start;
  if (said.some((chunk) => chunk.type === "text-end" && chunk.id === id)) return null;
  return { id, text: concatText(said) };
}

/**
 * The chunks a continued answer starts with, placed after the opening: everything it said, its last
 * text left open. Calls without a result are dropped. Sources are kept if the search had finished.
 */
export function keptChunks(parts: ChatMessage["parts"]): TurnChunk[] {
  const lastStep = parts.findLastIndex(({ type }) => type === "step-start");
  // The last step continues; its state belongs to its new end.
  const finished = parts.filter(
    (part, index) => (!isToolUIPart(part) || hasResult(part)) && !(index > lastStep && isStepState(part)),
  );
  if (!finished.some(isContent)) {
    const searched = finished.some((part) => isStatus(part, "retrieve") && part.data.detail !== undefined);
    return searched ? unfoldParts(finished.filter((part) => isSource(part) || isStatus(part, "retrieve"))) : [];
  }
  const chunks = unfoldParts(finished).map(reopenGenerateStatus);
  // `unfoldParts` closes the last step; a text that continues must stay open inside it.
  const [end, finish] = chunks.slice(-2);
  return end?.type === "text-end" && finish?.type === "finish-step" ? chunks.slice(0, -2) : chunks;
}

/**
 * The chunks an answer starts with that waited for consent or client tool results: all of it, calls
 * left unanswered.
 */
export function pendingAnswerChunks(parts: ChatMessage["parts"]): TurnChunk[] {
  const isPending = ({ state }: { state: string }) => state === "approval-requested" || state === "input-available";
  const kept = parts.filter((part) => !isToolUIPart(part) || isPending(part) || hasResult(part));
  return unfoldParts(kept).map(reopenGenerateStatus);
}

function reopenGenerateStatus(chunk: TurnChunk): TurnChunk {
  return chunk.type === "data-status" && chunk.data.stage === "generate" ? generateStatus("active") : chunk;
}

type Part = ChatMessage["parts"][number];

function isStatus(part: Part, stage: "retrieve" | "generate"): part is Extract<Part, { type: "data-status" }> {
  return part.type === "data-status" && part.data.stage === stage;
}

function isSource(part: Part): boolean {
  return part.type === "source-document" && parseSource(part) !== null;
}

function isContent(part: Part): boolean {
  if (part.type === "text") return part.text !== "";
  return part.type !== "data-status" && part.type !== "step-start" && !isSource(part);
}

function hasResult(part: Extract<Part, { toolCallId: string }>): boolean {
  if (part.state === "output-available") return !part.preliminary;
  return part.state === "output-denied" || (part.state === "output-error" && part.errorText !== unfinishedTool);
}

/**
 * Joins model output to the log prefix: the first step continues the open step, and the first text
 * continues the open text, even if the model reasons first. Feed it every model chunk in order.
 */
export class PrefixJoiner {
  #stepOpen: boolean;
  /** The open text, and the model's id for its continuation once that has started. */
  #text: { id: string; modelId?: string } | null;

  constructor({ stepOpen, openText }: { stepOpen: boolean; openText: { id: string } | null }) {
    this.#stepOpen = stepOpen;
    this.#text = openText && { id: openText.id };
  }

  /** True once all further chunks pass through unchanged. */
  get done(): boolean {
    return !this.#stepOpen && !this.#text;
  }

  join(chunk: TurnChunk): TurnChunk[] {
    if (chunk.type === "start-step" && this.#stepOpen) {
      this.#stepOpen = false;
      return [];
    }
    const text = this.#text;
    if (!text || chunk.type.startsWith("reasoning-")) return [chunk];
    if (chunk.type === "text-start" && text.modelId === undefined) {
      text.modelId = chunk.id;
      return [];
    }
    if (chunk.type === "text-delta" && chunk.id === text.modelId) return [{ ...chunk, id: text.id }];
    if (chunk.type === "text-end" && chunk.id === text.modelId) {
      this.#text = null;
      return [{ ...chunk, id: text.id }];
    }
    if (text.modelId !== undefined) return [chunk];
    // The model continued with something other than text; any later text is a separate part.
    this.#text = null;
    return [{ type: "text-end", id: text.id }, chunk];
  }
}
