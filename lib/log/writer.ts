// Writes one turn: queues chunks between commits, numbers them, gives them to local readers once
// they are stored, and folds the message at the terminal.
import type { AppendRow } from "@/db/log";
import { trackWork } from "@/lib/event-loop";
import { logger } from "@/lib/logger";
import {
  type ChatMessage,
  type FinalState,
  isTerminal,
  type LoggedChunk,
  type TurnChunk,
  type TurnError,
} from "@/lib/turn/chunks";
import { interruptedError } from "@/lib/turn/ending";
import { foldChunks, textOf } from "@/lib/turn/fold";
import { isAnswerContent } from "@/lib/turn/log-prefix";
import { joinDeltas, pushJoined, splitDelta } from "@/lib/turn/merge";
import { maxPendingBytes } from "@/lib/turn/pacing";
import type { Halt } from "@/lib/turn/run-input";
import { upstreamOf } from "@/lib/turn/upstream";
import { usageOf } from "@/lib/turn/usage";
import type { LogWriter } from "./durable-log";
import type { Tail } from "./tail";

/** `json` is null for a delta that may still grow. */
type Pending = { chunk: TurnChunk; json: string | null };

/** Rows of one commit. */
export type TakenRow = AppendRow & { chunks: LoggedChunk[] };

export interface CommitQueue {
  /** Adds the writer to the next commit. `urgent`: its first text, which a user is waiting for. */
  schedule(writer: Writer, urgent: boolean): void;
}

export class Writer implements LogWriter {
  readonly turnId: string;
  readonly epoch: number;
  readonly ended: Promise<"stored" | "lost">;
  finish!: (outcome: "stored" | "lost") => void;
  readonly #queue: CommitQueue;
  readonly #tail: Tail;
  readonly #abort = new AbortController();
  #pending: Pending[] = [];
  #pendingBytes = 0;
  #lastSeq = 0;
  /** The whole turn with deltas joined, for the fold. */
  #chunks: TurnChunk[] = [];
  #hasText = false;
  #hasContent = false;
  #final: AppendRow["final"];
  #finished = false;
  #resume: { promise: Promise<void>; resolve: () => void } | null = null;

  constructor(epoch: number, tail: Tail, queue: CommitQueue, stored: LoggedChunk[]) {
    this.turnId = tail.turnId;
    this.epoch = epoch;
    this.#tail = tail;
    this.#queue = queue;
    tail.startWriting(stored);
    for (const { seq, chunk } of stored) {
      this.#lastSeq = seq;
      pushJoined(this.#chunks, chunk);
    }
    this.ended = new Promise((resolve) => {
      this.finish = (outcome) => {
        this.#finished = true;
        tail.stopWriting();
        if (outcome === "lost") this.halt({ status: "interrupted", error: interruptedError });
        this.#resume?.resolve();
        resolve(outcome);
      };
    });
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  halt(halt: Halt): void {
    if (!this.#abort.signal.aborted) this.#abort.abort(halt);
  }

  storageLost(): void {
    this.halt({ status: "interrupted", error: { ...interruptedError, code: "storage" } });
  }

  /**
   * Another process can take the turn over as is: it has no answer yet, or its provider keeps it.
   */
  get canHandOver(): boolean {
    return !this.#hasContent || upstreamOf(this.#chunks) !== null;
  }

  /** Approximate bytes the next commit stores for this turn. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  append(chunk: TurnChunk): Promise<void> | undefined {
    // Nothing follows a terminal.
    if (this.#finished || this.#final) return undefined;
    if (isTerminal(chunk)) return this.#end(chunk);
    for (const piece of splitDelta(chunk)) this.#add(piece);
    const firstText = !this.#hasText && chunk.type === "text-delta";
    if (firstText) this.#hasText = true;
    this.#queue.schedule(this, firstText);
    if (this.#pendingBytes <= maxPendingBytes) return undefined;
    this.#resume ??= Promise.withResolvers<void>();
    return this.#resume.promise;
  }

  async #end(terminal: TurnChunk): Promise<void> {
    const end = trackWork(`fold of turn ${this.turnId}`);
    const message = await foldChunks(this.#chunks, (error) =>
      logger.error({ err: error, turnId: this.turnId }, "fold stopped early"),
    );
    this.#final = finalRow(this.#chunks, message);
    end();
    this.#add(terminal);
    this.#queue.schedule(this, false);
  }

  #add(added: TurnChunk): void {
    const entry = encode(added);
    this.#hasContent ||= isAnswerContent(added);
    pushJoined(this.#chunks, entry.chunk);
    const last = this.#pending.at(-1);
    const joined = last && joinDeltas(last.chunk, entry.chunk);
    if (joined) this.#pending[this.#pending.length - 1] = { chunk: joined, json: null };
    else this.#pending.push(entry);
    this.#pendingBytes += entry.json?.length ?? deltaOf(entry.chunk).length;
  }

  /** Rows for the next commit. Until `committed`, the same rows may be sent again. */
  take(): TakenRow {
    const chunks = this.#pending.map(({ chunk, json }, index) => ({
      seq: this.#lastSeq + index + 1,
      json: json ?? JSON.stringify(chunk),
      chunk,
    }));
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#lastSeq += chunks.length;
    const { turnId, epoch } = this;
    return { turnId, epoch, lastSeq: this.#lastSeq, chunks, ...(this.#final ? { final: this.#final } : {}) };
  }

  /** The rows are stored: local readers may see them, and a paused run resumes. */
  committed({ chunks }: TakenRow): void {
    this.#resume?.resolve();
    this.#resume = null;
    if (chunks.length > 0) this.#tail.push(chunks);
  }
}

/**
 * Encodes everything but plain deltas immediately: an unencodable chunk fails in the run that made
 * it rather than in a shared commit, and local readers get exactly what remote readers decode.
 */
function encode(chunk: TurnChunk): Pending {
  if (isPlainDelta(chunk)) return { chunk, json: null };
  const json = JSON.stringify(chunk);
  // Flat strings survive a JSON round trip unchanged.
  if (Object.values(chunk).every((value) => typeof value === "string")) return { chunk, json };
  return { chunk: JSON.parse(json) as TurnChunk, json };
}

function isPlainDelta(chunk: TurnChunk): boolean {
  if (chunk.type === "tool-input-delta") return true;
  return (chunk.type === "text-delta" || chunk.type === "reasoning-delta") && !chunk.providerMetadata;
}

function deltaOf(chunk: TurnChunk): string {
  if ("delta" in chunk) return chunk.delta;
  return "inputTextDelta" in chunk ? chunk.inputTextDelta : "";
}

/** What is stored with a terminal. The state comes from the last `data-turn` chunk. */
export function finalRow(chunks: TurnChunk[], message: ChatMessage): NonNullable<AppendRow["final"]> {
  const last = chunks.findLast((chunk) => chunk.type === "data-turn");
  if (last?.type !== "data-turn") throw new Error("A turn must tell its state before its terminal.");
  const { status, error } = last.data as { status: FinalState; error?: TurnError };
  return {
    state: status,
    error: error ? JSON.stringify(error) : null,
    parts: JSON.stringify(message.parts),
    metadata: JSON.stringify(message.metadata),
    // Postgres `text` cannot hold NUL; json can.
    text: textOf(message).replaceAll("\0", ""),
    usage: usageOf(chunks, message),
  };
}
