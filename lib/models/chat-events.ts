// Chat Completions as the servers that imitate OpenAI's really stream it, read into the one form that the adapter understands. What each
// server does differently is in docs/providers.md. Pure.
import {
  brokenOff,
  type EventReader,
  type Item,
  isEndMark,
  isObject,
  type JsonObject,
  objectOf,
  type ProviderEvent,
  reportedFailure,
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

/** The usage follows the reason of an answer's end at once, or never: some servers then keep the connection open. */
export const usageGraceMs = 2_000;
/** Behind [DONE] it comes from few servers, in the same packet. */
const lateUsageGraceMs = 100;

export class ChatEvents implements EventReader {
  readonly #url: string;
  readonly #tags = new ThinkTags();
  readonly #plain = new PlainDeltas();
  readonly #reasoning = new ChatReasoning();
  readonly #calls = new ToolCalls();
  readonly #logprobs = new Logprobs();
  readonly #pages = new Set<string>();
  #usage: JsonObject | null = null;
  #finishReason: string | null = null;
  /** What was sent as the reason. */
  #sentReason: string | null = null;
  #done = false;
  #said = false;
  /** Chunks hold messages in place of deltas. */
  #messages = false;
  #thinking = false;
  /** A chunk came, or an object that is none. */
  #recognised = false;
  #foreign = false;
  /** The first half of a character that two deltas share. */
  #half = "";

  /** `url` is named by the failures. */
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
    if (this.settled) return [...this.#close("stop"), ...this.#rest(), { type: "end" }];
    if (failed) return this.#rest(true);
    if (this.#foreign && !this.#recognised) throw unreadable();
    return this.#close(brokenOff);
  }

  readWhole(body: unknown): Item[] | null {
    // Gemini reports its failures in a list.
    const answer = Array.isArray(body) ? body[0] : body;
    if (!isObject(answer)) return null;
    const failure = failureIn(answer);
    if (failure) return [{ type: "failure", error: reportedFailure(failure, this.#url) }];
    if (!Array.isArray(answer.choices)) return null;
    return [...this.#chunk(answer), ...this.#close("stop"), { type: "end" }];
  }

  /** [DONE]. Without any usage so far the answer has not quite ended. */
  #end(): Item[] {
    const items = this.#close("stop");
    this.#done = true;
    return this.#usage || this.#sentReason === brokenOff ? [...items, { type: "end" }] : items;
  }

  /**
   * Behind the reason of the end no fault matters any more, nor what is no chunk. Usage does, and what some servers still say
   * when they gave a reason too early.
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
      // Whatever it is, the answer is whole.
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
      this.#said = true;
      items.push({ type: "frame", frame: choiceFrame({ refusal: delta.refusal }) });
    }
    if (delta.tool_calls || delta.function_call) {
      const calls = this.#calls.read(delta);
      this.#said ||= this.#calls.count > 0;
      this.#thinking = false;
      if (calls.length > 0) items.push(...this.#rest(), { type: "frame", frame: choiceFrame({ tool_calls: calls }) });
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

  /** What the choice says: a delta, or what some servers have in its place. */
  #deltaIn({ delta, message, text }: JsonObject): JsonObject {
    if (isObject(delta) && (!isObject(message) || deltasOf(delta).length > 0)) return delta;
    if (typeof delta === "string") return { content: delta };
    // Behind deltas, a message repeats them.
    if (isObject(message) && (!this.#said || this.#messages)) {
      this.#messages = true;
      return message;
    }
    return typeof text === "string" ? { content: text } : {};
  }

  #isNew({ url }: UrlAnnotation): boolean {
    const known = this.#pages.size;
    return this.#pages.add(url).size > known;
  }

  #delta({ kind, text: told }: Delta): Item[] {
    let text = this.#half + told;
    const last = text.charCodeAt(text.length - 1);
    const cut = last >= 0xd800 && last < 0xdc00;
    this.#half = cut ? text.slice(-1) : "";
    if (cut) text = text.slice(0, -1);
    if (text === "") return [];
    this.#said = true;
    if (kind === "content") {
      const pieces = this.#tags.read(text);
      this.#thinking = this.#tags.open;
      if (pieces.some((piece) => piece.kind === "reasoning_content")) this.#reasoning.tagged = true;
      return pieces.map(textItem);
    }
    this.#thinking = true;
    return [textItem({ kind, text })];
  }

  /** Text that might have been the beginning of a tag. */
  #rest(brokeOff = false): Item[] {
    return this.#tags.flush(brokeOff).map(textItem);
  }

  /**
   * The finish reason once, in a frame of its own, and the usage so far. A server that ends after a call without naming it
   * wants it run.
   */
  #close(otherwise: string): Item[] {
    if (this.#sentReason !== null) return [];
    this.#thinking = false;
    let reason = this.#finishReason ?? otherwise;
    const items = this.#rest(reason === brokenOff);
    if (reason !== brokenOff) {
      const calls = this.#calls.end();
      if (calls.length > 0) items.push({ type: "frame", frame: choiceFrame({ tool_calls: calls }) });
    }
    if (reason === "stop" && this.#calls.count > 0) reason = "tool_calls";
    // The call was lost on its way through the server.
    if (reason === "tool_calls" && this.#calls.count === 0) reason = this.#said ? "stop" : brokenOff;
    // A clean end without a word is no answer.
    if (!this.#said && (this.#finishReason === null || !isKnownReason(reason))) reason = brokenOff;
    this.#finishReason ??= reason;
    const { state } = this.#reasoning;
    if (state && reason !== brokenOff) items.push({ type: "frame", frame: choiceFrame({ [stateField]: state }) });
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
