// Reads Chat Completions streams as OpenAI's imitators really send them, into the canonical form
// that the adapter understands. docs/providers.md lists each server's deviations. Pure.
import {
  type EventReader,
  type Item,
  isEndMark,
  isObject,
  type JsonObject,
  objectOf,
  type ProviderEvent,
  reportedFailure,
  truncatedReason,
  unreadable,
} from "./answer-events";
import { citedPagesOf, type Delta, deltasOf, type UrlAnnotation, usageIn } from "./chat-deltas";
import { ChatReasoning, stateField } from "./chat-state";
import { failureIn, isPing } from "./failure-shapes";
import { finishReasonOf, isKnownReason } from "./finish-reasons";
import { Logprobs, logprobsField } from "./logprobs";
import { PlainDeltas } from "./plain-deltas";
import { ThinkTags } from "./think-tags";
import { ToolCalls } from "./tool-calls";

/**
 * The usage follows the finish reason immediately or never: some servers then keep the connection
 * open.
 */
export const usageGraceMs = 2_000;
/** Few servers send usage after [DONE], and then in the same packet. */
const lateUsageGraceMs = 100;

export class ChatReader implements EventReader {
  readonly #url: string;
  readonly #tags = new ThinkTags();
  readonly #plain = new PlainDeltas();
  readonly #reasoning = new ChatReasoning();
  readonly #calls = new ToolCalls();
  readonly #logprobs = new Logprobs();
  readonly #pages = new Set<string>();
  #usage: JsonObject | null = null;
  #finishReason: string | null = null;
  /** The finish reason already emitted. */
  #sentReason: string | null = null;
  #done = false;
  #hasContent = false;
  /** Chunks hold messages instead of deltas. */
  #messages = false;
  #thinking = false;
  /** Whether a chunk, and whether an unrelated object, has arrived. */
  #recognised = false;
  #foreign = false;
  /** First half of a surrogate pair split across two deltas. */
  #half = "";

  /** `url` appears in failures. */
  constructor(url: string) {
    this.#url = url;
  }

  get thinking(): boolean {
    return this.#thinking;
  }

  get settled(): boolean {
    return this.#finishReason !== null;
  }

  get graceMs(): number {
    return this.#done ? lateUsageGraceMs : usageGraceMs;
  }

  read({ name, data }: ProviderEvent): Item[] {
    const plain = name === undefined && !this.settled ? this.#plain.read(data) : null;
    if (plain !== null) return this.#delta({ kind: "content", text: plain });
    if (isEndMark(data)) return this.#end();
    if (this.settled) return this.#late(data);
    const chunk = objectOf(data);
    if (!chunk) return [];
    const failure = failureIn(chunk, name);
    if (failure) return [{ type: "failure", error: reportedFailure(failure, this.#url) }];
    if (!("choices" in chunk) && !("usage" in chunk)) {
      this.#foreign ||= !isPing(chunk, name);
      return [];
    }
    this.#recognised = true;
    this.#plain.learn(data, chunk);
    return this.#chunk(chunk);
  }

  finish(failed: boolean): Item[] {
    if (this.settled) return [...this.#close("stop"), ...this.#flushTags(), { type: "end" }];
    if (failed) return this.#flushTags(true);
    if (this.#foreign && !this.#recognised) throw unreadable();
    return this.#close(truncatedReason);
  }

  readJson(body: unknown): Item[] | null {
    // Gemini reports failures in a list.
    const answer = Array.isArray(body) ? body[0] : body;
    if (!isObject(answer)) return null;
    const failure = failureIn(answer);
    if (failure) return [{ type: "failure", error: reportedFailure(failure, this.#url) }];
    if (!Array.isArray(answer.choices)) return null;
    return [...this.#chunk(answer), ...this.#close("stop"), { type: "end" }];
  }

  /** Handles [DONE]. Without usage so far the answer has not quite ended. */
  #end(): Item[] {
    const items = this.#close("stop");
    this.#done = true;
    return this.#usage || this.#sentReason === truncatedReason ? [...items, { type: "end" }] : items;
  }

  /**
   * After the finish reason, faults and non-chunks are ignored. Usage still counts, and so does
   * content from servers that gave a reason too early.
   */
  #late(data: string): Item[] {
    try {
      const chunk = objectOf(data);
      if (!chunk) return [];
      const items: Item[] = this.#done ? [] : this.#chunk(chunk).filter(({ type }) => type !== "failure");
      const usage = usageIn(chunk);
      if (usage) items.push({ type: "frame", frame: frameOf({ choices: [], usage }) });
      if (this.#calls.count > 0 && this.#sentReason === "stop") items.push(this.#reason("tool_calls"));
      return usage && this.#done ? [...items, { type: "end" }] : items;
    } catch {
      // Whatever it is, the answer is complete.
      return [];
    }
  }

  #chunk(chunk: JsonObject): Item[] {
    if (!Array.isArray(chunk.choices ?? [])) throw unreadable();
    const choices = ((chunk.choices ?? []) as unknown[]).filter(isObject);
    const choice = choices.find(({ index }) => !index) ?? choices[0];
    this.#usage = usageIn(chunk, choice) ?? this.#usage;
    if (!choice) return [];
    if (choice.error) return [{ type: "failure", error: reportedFailure(choice.error, this.#url) }];
    return this.#choice(choice, chunk);
  }

  #choice(choice: JsonObject, chunk: JsonObject): Item[] {
    const delta = this.#deltaIn(choice);
    const items: Item[] = [];
    this.#reasoning.read(delta);
    if (choice.logprobs) this.#logprobs.read(choice);
    for (const part of deltasOf(delta)) items.push(...this.#delta(part));
    if (delta.annotations || chunk.citations || chunk.search_results) {
      const pages = citedPagesOf(chunk, delta).filter((page) => this.#isNew(page));
      if (pages.length > 0) items.push({ type: "frame", frame: choiceFrame({ annotations: pages }) });
    }
    if (typeof delta.refusal === "string" && delta.refusal !== "") {
      this.#hasContent = true;
      items.push({ type: "frame", frame: choiceFrame({ refusal: delta.refusal }) });
    }
    if (delta.tool_calls || delta.function_call) {
      const calls = this.#calls.read(delta);
      this.#hasContent ||= this.#calls.count > 0;
      this.#thinking = false;
      if (calls.length > 0)
        items.push(...this.#flushTags(), { type: "frame", frame: choiceFrame({ tool_calls: calls }) });
    }
    const reason = finishReasonOf(choice);
    if (reason === "error") {
      const error = reportedFailure({ type: "server_error" }, this.#url);
      return [...items, { type: "failure", error }];
    }
    if (reason !== null) {
      this.#finishReason ??= reason;
      items.push(...this.#close("stop"));
    }
    return items;
  }

  /** The choice's delta, or what some servers send instead. */
  #deltaIn({ delta, message, text }: JsonObject): JsonObject {
    if (isObject(delta) && (!isObject(message) || deltasOf(delta).length > 0)) return delta;
    if (typeof delta === "string") return { content: delta };
    // After deltas, a message repeats them.
    if (isObject(message) && (!this.#hasContent || this.#messages)) {
      this.#messages = true;
      return message;
    }
    return typeof text === "string" ? { content: text } : {};
  }

  #isNew({ url }: UrlAnnotation): boolean {
    const known = this.#pages.size;
    return this.#pages.add(url).size > known;
  }

  #delta({ kind, text: deltaText }: Delta): Item[] {
    let text = this.#half + deltaText;
    const last = text.charCodeAt(text.length - 1);
    const cut = last >= 0xd800 && last < 0xdc00;
    this.#half = cut ? text.slice(-1) : "";
    if (cut) text = text.slice(0, -1);
    if (text === "") return [];
    this.#hasContent = true;
    if (kind === "content") {
      const pieces = this.#tags.read(text);
      this.#thinking = this.#tags.open;
      if (pieces.some((piece) => piece.kind === "reasoning_content")) this.#reasoning.tagged = true;
      return pieces.map(textItem);
    }
    this.#thinking = true;
    return [textItem({ kind, text })];
  }

  /** Text held as a possible start of a tag. */
  #flushTags(brokeOff = false): Item[] {
    return this.#tags.flush(brokeOff).map(textItem);
  }

  /**
   * Emits the finish reason once, in its own frame, and the usage so far. If a server ends after a
   * call without the right reason, the call still counts.
   */
  #close(otherwise: string): Item[] {
    if (this.#sentReason !== null) return [];
    this.#thinking = false;
    let reason = this.#finishReason ?? otherwise;
    const items = this.#flushTags(reason === truncatedReason);
    if (reason !== truncatedReason) {
      const calls = this.#calls.end();
      if (calls.length > 0) items.push({ type: "frame", frame: choiceFrame({ tool_calls: calls }) });
    }
    if (reason === "stop" && this.#calls.count > 0) reason = "tool_calls";
    // The server lost the call.
    if (reason === "tool_calls" && this.#calls.count === 0) reason = this.#hasContent ? "stop" : truncatedReason;
    // A clean end without any content is no answer.
    if (!this.#hasContent && (this.#finishReason === null || !isKnownReason(reason))) reason = truncatedReason;
    this.#finishReason ??= reason;
    const { state } = this.#reasoning;
    if (state && reason !== truncatedReason) items.push({ type: "frame", frame: choiceFrame({ [stateField]: state }) });
    const { content } = this.#logprobs;
    if (content.length > 0) items.push({ type: "frame", frame: choiceFrame({ [logprobsField]: content }) });
    items.push(this.#reason(reason));
    if (this.#usage) items.push({ type: "frame", frame: frameOf({ choices: [], usage: this.#usage }) });
    return items;
  }

  #reason(reason: string): Item {
    this.#sentReason = reason;
    return { type: "frame", frame: choiceFrame({}, reason) };
  }
}

function textItem({ kind, text }: Delta): Item {
  return { type: "delta", key: kind, text, frame: (joined) => choiceFrame({ [kind]: joined }) };
}

function choiceFrame(delta: JsonObject, finishReason: string | null = null): string {
  return frameOf({ choices: [{ index: 0, delta, finish_reason: finishReason }] });
}

function frameOf(chunk: JsonObject): string {
  return `data: ${JSON.stringify(chunk)}\n\n`;
}
