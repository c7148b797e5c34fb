// The log of a turn may have a beginning before its run: what is kept of an answer that is continued, or what was stored
// before the turn's owner died. What such a beginning holds, and how the model's chunks are joined to it
// (docs/protocol.md §4). Pure.
import { isToolUIPart } from "ai";
import { type ChatMessage, parseSource, type Source, type TurnChunk } from "./chunks";
import { unfinishedTool } from "./ending";
import { unfoldParts } from "./fold";
import { generateStatus, isWaiting } from "./model-status";
import { isStepState } from "./provider-state";

type Opening = {
  turnId: string;
  chatId: string;
  messageId: string;
  userMessageId: string;
  /** The model's id in the catalogue. */
  modelId: string;
  /** ISO 8601. */
  createdAt: string;
  /** The answer that this one continues. */
  continues?: string;
};

/** The first chunk of every turn. */
export function startChunk({ turnId, chatId, messageId, modelId, createdAt, continues }: Opening): TurnChunk {
  const messageMetadata = { turnId, chatId, model: modelId, createdAt, ...(continues ? { continues } : {}) };
  return { type: "start", messageId, messageMetadata };
}

/** The first two. */
export function opening(input: Opening): TurnChunk[] {
  const { turnId, chatId, userMessageId } = input;
  return [
    startChunk(input),
    { type: "data-turn", data: { turnId, chatId, userMessageId, status: "running" }, transient: true },
  ];
}

/** What the chunks at the beginning of a turn say. */
export class Begun {
  /** Of the opening: 0, 1 or 2 chunks. */
  opened = 0;
  retrieving = false;
  retrieved = false;
  generating = false;
  /** The last status says that the model loads or thinks, as that of an owner did who died since. */
  waiting = false;
  stepOpen = false;
  /** A text that goes on. */
  openText: { id: string; text: string } | null = null;
  /** Something of the answer itself: text, reasoning, a tool, a whole step. That a step or a text has begun says nothing yet. */
  said = false;
  text = "";
  readonly sources: Source[] = [];

  constructor(chunks: Iterable<TurnChunk>) {
    for (const chunk of chunks) this.#see(chunk);
  }

  #see(chunk: TurnChunk): void {
    switch (chunk.type) {
      case "start":
      case "data-turn":
        this.opened += 1;
        break;
      case "data-status":
        if (chunk.data.stage === "generate") {
          this.generating = true;
          this.waiting = isWaiting(chunk);
        } else if (chunk.data.state === "active") this.retrieving = true;
        else this.retrieved = true;
        break;
      case "data-upstream":
        break;
      case "source-document": {
        const source = parseSource(chunk);
        if (source) this.sources.push(source);
        break;
      }
      case "start-step":
        this.stepOpen = true;
        break;
      case "finish-step":
        this.stepOpen = false;
        this.said = true;
        break;
      case "text-start":
        this.openText = { id: chunk.id, text: "" };
        break;
      case "text-delta":
        this.said = true;
        this.text += chunk.delta;
        if (this.openText?.id === chunk.id) this.openText.text += chunk.delta;
        break;
      case "text-end":
        if (this.openText?.id === chunk.id) this.openText = null;
        break;
      default:
        this.said = true;
    }
  }
}

/**
 * True when these chunks hold nothing of an answer, so that it can be made as if they were the beginning of its run.
 * Sources count as such a beginning only when all are there: others might be found now.
 */
export function isUnanswered(chunks: Iterable<TurnChunk>): boolean {
  const { said, sources, retrieved } = new Begun(chunks);
  return !said && (sources.length === 0 || retrieved);
}

/**
 * The chunks with which an answer goes on that ended too soon, to be put behind the opening: what it had said, its last text
 * open. Calls whose result is not known are left out. What was found for it is kept if the search had come to its end.
 */
export function keptChunks(parts: ChatMessage["parts"]): TurnChunk[] {
  const lastStep = parts.findLastIndex(({ type }) => type === "step-start");
  // The last step goes on, and has its state at its new end.
  const finished = parts.filter(
    (part, index) => (!isToolUIPart(part) || hasResult(part)) && !(index > lastStep && isStepState(part)),
  );
  if (!finished.some(isSaid)) {
    const searched = finished.some((part) => isStatus(part, "retrieve") && part.data.detail !== undefined);
    return searched ? unfoldParts(finished.filter((part) => isSource(part) || isStatus(part, "retrieve"))) : [];
  }
  const chunks = unfoldParts(finished).map(generatingAgain);
  // The last step is closed by `unfoldParts`; a text that goes on is inside it.
  const [end, finish] = chunks.slice(-2);
  return end?.type === "text-end" && finish?.type === "finish-step" ? chunks.slice(0, -2) : chunks;
}

/** The chunks with which an answer goes on that asked a person for consent or its client for results: all of it, unanswered. */
export function askedChunks(parts: ChatMessage["parts"]): TurnChunk[] {
  const waits = ({ state }: { state: string }) => state === "approval-requested" || state === "input-available";
  const known = parts.filter((part) => !isToolUIPart(part) || waits(part) || hasResult(part));
  return unfoldParts(known).map(generatingAgain);
}

function generatingAgain(chunk: TurnChunk): TurnChunk {
  return chunk.type === "data-status" && chunk.data.stage === "generate" ? generateStatus("active") : chunk;
}

type Part = ChatMessage["parts"][number];

function isStatus(part: Part, stage: "retrieve" | "generate"): part is Extract<Part, { type: "data-status" }> {
  return part.type === "data-status" && part.data.stage === stage;
}

function isSource(part: Part): boolean {
  return part.type === "source-document" && parseSource(part) !== null;
}

function isSaid(part: Part): boolean {
  if (part.type === "text") return part.text !== "";
  return part.type !== "data-status" && part.type !== "step-start" && !isSource(part);
}

function hasResult(part: Extract<Part, { toolCallId: string }>): boolean {
  if (part.state === "output-available") return !part.preliminary;
  return part.state === "output-denied" || (part.state === "output-error" && part.errorText !== unfinishedTool);
}

/**
 * Joins what a model says to a beginning: its first step goes on in the step that is open, its first text in the text that
 * is open, also when it thinks before it speaks. Fed with each chunk of the model in order.
 */
export class Joint {
  #stepOpen: boolean;
  /** The open text, and what the model calls its part of it once that has begun. */
  #text: { id: string; modelId?: string } | null;

  constructor({ stepOpen, openText }: Pick<Begun, "stepOpen" | "openText">) {
    this.#stepOpen = stepOpen;
    this.#text = openText && { id: openText.id };
  }

  /** From here on every chunk stays as it is. */
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
    // It goes on with something else than text: what comes later is a text of its own.
    this.#text = null;
    return [{ type: "text-end", id: text.id }, chunk];
  }
}
