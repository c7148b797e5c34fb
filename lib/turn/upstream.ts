// An answer that its provider makes and keeps whether or not anybody reads it (OPENAI_BACKGROUND). The log names it, so that
// when the owner of a turn dies, another server reads it on instead of asking again (docs/decisions/0044). Pure.
import type { TurnChunk, UpstreamMark } from "./chunks";

/** Stands in the log before what its answer says. Never leaves the server. */
export function markChunk(data: UpstreamMark): TurnChunk {
  return { type: "data-upstream", data, transient: true };
}

export type Upstream = {
  mark: UpstreamMark;
  /** Of the mark's chunk. */
  index: number;
  /** What the log has of the answer: texts, reasonings and inputs of tools. */
  seen: TurnChunk[];
};

/**
 * The answer in which a log breaks off. Null when it cannot be read on: no call of the model is open, or it has called a tool,
 * which may have run.
 */
export function upstreamOf(chunks: readonly TurnChunk[]): Upstream | null {
  let found: Upstream | null = null;
  for (const [index, chunk] of chunks.entries()) {
    if (chunk.type === "data-upstream") found = { mark: chunk.data, index, seen: [] };
    else if (chunk.type === "finish-step" || isCalled(chunk)) found = null;
    else if (isSaid(chunk)) found?.seen.push(chunk);
  }
  return found;
}

function isCalled({ type }: TurnChunk): boolean {
  return type === "tool-input-available" || type === "tool-input-error" || type.startsWith("tool-output");
}

function isSaid({ type }: TurnChunk): boolean {
  return /^(?:text|reasoning)-(?:start|delta|end)$|^tool-input-(?:start|delta)$/.test(type);
}

type Part = {
  id: string;
  /** Characters that the log has and that have not come again yet. */
  characters: number;
  ended: boolean;
};

/** Leaves out of an answer that is read again what the log has of it. Fed with each chunk in order. */
export class SeenBefore {
  /** In the order in which they began; the answer's come in the same one. */
  readonly #parts: Part[] = [];
  /** By their ids in the answer. */
  readonly #matched = new Map<string, Part>();
  #next = 0;
  /** Nothing new has come yet. */
  again = true;

  constructor(seen: readonly TurnChunk[]) {
    const open = new Map<string, Part>();
    for (const chunk of seen) {
      const key = keyOf(chunk);
      let part = open.get(key);
      // A text that goes on from another answer has no beginning of its own.
      if (!part || isStart(chunk)) {
        part = { id: idOf(chunk), characters: 0, ended: false };
        open.set(key, part);
        this.#parts.push(part);
      }
      part.characters += deltaOf(chunk).length;
      part.ended ||= chunk.type.endsWith("-end");
    }
  }

  /** What is new of this chunk, under the id that its part has in the log. */
  rest(chunk: TurnChunk): TurnChunk | null {
    if (!isSaid(chunk)) return chunk;
    const fresh = this.#rest(chunk);
    if (fresh) this.again = false;
    return fresh;
  }

  #rest(chunk: TurnChunk): TurnChunk | null {
    const key = keyOf(chunk);
    const known = this.#matched.get(key);
    if (!known || isStart(chunk)) {
      const part = this.#parts[this.#next];
      if (!part) return chunk;
      this.#next += 1;
      this.#matched.set(key, part);
      return isStart(chunk) ? null : this.#rest(chunk);
    }
    if (chunk.type.endsWith("-end")) {
      this.#matched.delete(key);
      return known.ended ? null : withId(chunk, known.id);
    }
    const delta = deltaOf(chunk);
    const fresh = delta.slice(known.characters);
    known.characters = Math.max(0, known.characters - delta.length);
    return fresh === "" ? null : withDelta(withId(chunk, known.id), fresh);
  }
}

/** One call of the model whose answer its provider keeps: when the connection breaks, the answer is read again. */
export class KeptAnswer {
  #mark: UpstreamMark | undefined;
  readonly #yielded: TurnChunk[] = [];
  #before: SeenBefore | undefined;
  #progressed = false;

  constructor(mark?: UpstreamMark) {
    this.#mark = mark;
  }

  /** Undefined for a provider that keeps nothing. */
  get mark(): UpstreamMark | undefined {
    return this.#mark;
  }

  begin(mark: UpstreamMark): TurnChunk {
    this.#mark = mark;
    return markChunk(mark);
  }

  /** The part of this chunk that has not been yielded before, or null. */
  fresh(chunk: TurnChunk): TurnChunk | null {
    if (!this.#mark) return chunk;
    const rest = this.#before ? this.#before.rest(chunk) : chunk;
    if (!rest) return null;
    this.#yielded.push(rest);
    this.#progressed = true;
    return rest;
  }

  /**
   * Prepares to read the answer from its first event. False when that is impossible, or pointless because the last attempt
   * brought nothing new. A called tool may have run, so an answer with a call is not read again.
   */
  readAgain(): boolean {
    if (!this.#mark || !this.#progressed || this.#yielded.some(isCalled)) return false;
    this.#before = new SeenBefore(this.#yielded);
    this.#progressed = false;
    return true;
  }
}

function isStart({ type }: TurnChunk): boolean {
  return type.endsWith("-start");
}

/** Texts, reasonings and calls each have ids of their own. */
function keyOf(chunk: TurnChunk): string {
  return `${chunk.type.split("-", 1)[0]} ${idOf(chunk)}`;
}

function idOf(chunk: TurnChunk): string {
  if ("toolCallId" in chunk) return String(chunk.toolCallId);
  return "id" in chunk ? String(chunk.id) : "";
}

/** The ids of calls are the provider's own. */
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
