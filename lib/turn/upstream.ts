// An answer that its provider generates and stores whether or not anyone reads it
// (OPENAI_BACKGROUND). The log names it, so that after the owner dies another server resumes
// reading instead of asking again (docs/decisions/0044). Pure.
import type { TurnChunk, UpstreamMark } from "./chunks";

/** Precedes the answer's chunks in the log. Never leaves the server. */
export function markChunk(data: UpstreamMark): TurnChunk {
  return { type: "data-upstream", data, transient: true };
}

export type Upstream = {
  mark: UpstreamMark;
  /** Index of the mark's chunk. */
  index: number;
  /** Answer chunks in the log: texts, reasoning and tool inputs. */
  logged: TurnChunk[];
};

/**
 * The answer that was in progress at the end of the log. Null if it cannot be resumed: no model
 * call is open, or it has called a tool, which may have run.
 */
export function upstreamOf(chunks: readonly TurnChunk[]): Upstream | null {
  let found: Upstream | null = null;
  for (const [index, chunk] of chunks.entries()) {
    if (chunk.type === "data-upstream") found = { mark: chunk.data, index, logged: [] };
    else if (chunk.type === "finish-step" || isCalled(chunk)) found = null;
    else if (isContent(chunk)) found?.logged.push(chunk);
  }
  return found;
}

function isCalled({ type }: TurnChunk): boolean {
  return type === "tool-input-available" || type === "tool-input-error" || type.startsWith("tool-output");
}

function isContent({ type }: TurnChunk): boolean {
  return /^(?:text|reasoning)-(?:start|delta|end)$|^tool-input-(?:start|delta)$/.test(type);
}

type Part = {
  id: string;
  /** Logged characters that the reread has not reached yet. */
  characters: number;
  ended: boolean;
};

/** Skips the logged part of an answer that is read again. Feed it every chunk in order. */
export class ReplayFilter {
  /** In order of appearance; the reread yields the same order. */
  readonly #parts: Part[] = [];
  /** Keyed by id in the reread. */
  readonly #matched = new Map<string, Part>();
  #next = 0;
  /** True until something new arrives. */
  nothingNew = true;

  constructor(logged: readonly TurnChunk[]) {
    const open = new Map<string, Part>();
    for (const chunk of logged) {
      const key = keyOf(chunk);
      let part = open.get(key);
      // A text continued from another answer has no start chunk.
      if (!part || isStart(chunk)) {
        part = { id: idOf(chunk), characters: 0, ended: false };
        open.set(key, part);
        this.#parts.push(part);
      }
      part.characters += deltaOf(chunk).length;
      part.ended ||= chunk.type.endsWith("-end");
    }
  }

  /** The new part of this chunk, under the id the log uses. */
  unseenPart(chunk: TurnChunk): TurnChunk | null {
    if (!isContent(chunk)) return chunk;
    const fresh = this.#unseenPart(chunk);
    if (fresh) this.nothingNew = false;
    return fresh;
  }

  #unseenPart(chunk: TurnChunk): TurnChunk | null {
    const key = keyOf(chunk);
    const part = this.#matched.get(key);
    if (!part || isStart(chunk)) {
      const part = this.#parts[this.#next];
      if (!part) return chunk;
      this.#next += 1;
      this.#matched.set(key, part);
      return isStart(chunk) ? null : this.#unseenPart(chunk);
    }
    if (chunk.type.endsWith("-end")) {
      this.#matched.delete(key);
      return part.ended ? null : withId(chunk, part.id);
    }
    const delta = deltaOf(chunk);
    const fresh = delta.slice(part.characters);
    part.characters = Math.max(0, part.characters - delta.length);
    return fresh === "" ? null : withDelta(withId(chunk, part.id), fresh);
  }
}

/** A connection cut every 30 s leaves ten minutes for an answer; each reread starts from its first event. */
const maxRereads = 20;

/**
 * One model call whose answer the provider keeps: if the connection breaks, the answer is read
 * again.
 */
export class ResumableAnswer {
  #mark: UpstreamMark | undefined;
  readonly #yielded: TurnChunk[] = [];
  #replayFilter: ReplayFilter | undefined;
  #progressed = false;
  #rereads = 0;

  constructor(mark?: UpstreamMark) {
    this.#mark = mark;
  }

  /** Undefined for a provider that keeps nothing. */
  get mark(): UpstreamMark | undefined {
    return this.#mark;
  }

  start(mark: UpstreamMark): TurnChunk {
    this.#mark = mark;
    return markChunk(mark);
  }

  /** The part of this chunk that has not been yielded before, or null. */
  unseenPart(chunk: TurnChunk): TurnChunk | null {
    if (!this.#mark) return chunk;
    const unseen = this.#replayFilter ? this.#replayFilter.unseenPart(chunk) : chunk;
    if (!unseen) return null;
    this.#yielded.push(unseen);
    this.#progressed = true;
    return unseen;
  }

  /**
   * Prepares to read the answer from its first event. False if that is impossible, or pointless
   * because the last attempt brought nothing new, or has been done too often. A called tool may have run, so an answer with a
   * call is not read again.
   */
  prepareReread(): boolean {
    if (!this.#mark || !this.#progressed || this.#rereads === maxRereads) return false;
    if (this.#yielded.some(isCalled)) return false;
    this.#rereads += 1;
    this.#replayFilter = new ReplayFilter(this.#yielded);
    this.#progressed = false;
    return true;
  }
}

function isStart({ type }: TurnChunk): boolean {
  return type.endsWith("-start");
}

/** Texts, reasoning and calls have separate id spaces. */
function keyOf(chunk: TurnChunk): string {
  return `${chunk.type.split("-", 1)[0]} ${idOf(chunk)}`;
}

function idOf(chunk: TurnChunk): string {
  if ("toolCallId" in chunk) return String(chunk.toolCallId);
  return "id" in chunk ? String(chunk.id) : "";
}

/** Call ids are the provider's own and stay. */
function withId(chunk: TurnChunk, id: string): TurnChunk {
  return "toolCallId" in chunk ? chunk : ({ ...chunk, id } as TurnChunk);
}

function deltaOf(chunk: TurnChunk): string {
  if ("delta" in chunk) return chunk.delta;
  return "inputTextDelta" in chunk ? chunk.inputTextDelta : "";
}

function withDelta(chunk: TurnChunk, delta: string): TurnChunk {
  return ("delta" in chunk ? { ...chunk, delta } : { ...chunk, inputTextDelta: delta }) as TurnChunk;
}
