// Chat Completions as the servers that imitate OpenAI's really stream it, read into the one form that the adapter understands. What each
// server does differently is in docs/providers.md. Pure.
import {
  brokenOff,
  type EventReader,
  type Item,
  isObject,
  type JsonObject,
  numberOf,
  objectOf,
  type ProviderEvent,
  reportedFailure,
  unreadable,
} from "./answer-events";
import { ChatReasoning, stateField } from "./chat-state";
import { ThinkTags } from "./think-tags";

/** What other APIs call the same ends. An unknown word is passed on as it is. */
const finishReasons: Record<string, string> = {
  tool_use: "tool_calls",
  tool_call: "tool_calls",
  function_call: "tool_calls",
  end_turn: "stop",
  stop_sequence: "stop",
  eos: "stop",
  eos_token: "stop",
  completed: "stop",
  max_tokens: "length",
  max_output_tokens: "length",
  model_length: "length",
  safety: "content_filter",
  recitation: "content_filter",
  refusal: "content_filter",
};

type Delta = { kind: "content" | "reasoning_content"; text: string };

export class ChatEvents implements EventReader {
  readonly #url: string;
  readonly #tags = new ThinkTags();
  readonly #reasoning = new ChatReasoning();
  /** Of each call its index in the canonical stream, by the server's id and by its index. */
  readonly #calls = new Map<string, number>();
  #callCount = 0;
  #finishReason: string | null = null;
  #finishSent = false;
  #said = false;
  #thinking = false;

  /** `url` is named by the failures. */
  constructor(url: string) {
    this.#url = url;
  }

  get thinking(): boolean {
    return this.#thinking;
  }

  read({ name, data }: ProviderEvent): Item[] {
    const word = data.trim();
    if (word === "[DONE]" || word === "DONE") return [...this.#close("stop"), { type: "end" }];
    const chunk = this.settled ? null : objectOf(data);
    if (!chunk) return this.settled ? this.#late(data) : [];
    const error = name === "error" ? (chunk.error ?? chunk) : chunk.error;
    if (error) return [{ type: "failure", error: reportedFailure(error, this.#url) }];
    if (!("choices" in chunk) && !("usage" in chunk)) return [];
    return this.#chunk(chunk);
  }

  finish(failed: boolean): Item[] {
    if (this.settled) return [...this.#close("stop"), { type: "end" }];
    return failed ? this.#rest() : this.#close(brokenOff);
  }

  readWhole(body: unknown): Item[] | null {
    if (!isObject(body)) return null;
    const failure = body.error ?? (body.object === "error" ? body : null);
    if (failure) return [{ type: "failure", error: reportedFailure(failure, this.#url) }];
    if (!Array.isArray(body.choices)) return null;
    return [...this.#chunk(body), ...this.#close("stop"), { type: "end" }];
  }

  get settled(): boolean {
    return this.#finishReason !== null;
  }

  /** Behind the reason of the end only the usage is of interest. */
  #late(data: string): Item[] {
    try {
      const usage = usageOf(objectOf(data)?.usage);
      return usage ? [{ type: "frame", frame: frameOf({ choices: [], usage }) }] : [];
    } catch {
      // Whatever it is, the answer is whole.
      return [];
    }
  }

  #chunk(chunk: JsonObject): Item[] {
    if (!Array.isArray(chunk.choices ?? [])) throw unreadable();
    const choices = ((chunk.choices ?? []) as unknown[]).filter(isObject);
    const choice = choices.find(({ index }) => !index) ?? choices[0];
    const usage = usageOf(chunk.usage);
    if (choice?.error) return [{ type: "failure", error: reportedFailure(choice.error, this.#url) }];
    const items = choice ? this.#choice(choice) : [];
    if (usage) items.push({ type: "frame", frame: frameOf({ choices: [], usage }) });
    return items;
  }

  #choice(choice: JsonObject): Item[] {
    const delta = isObject(choice.delta) ? choice.delta : isObject(choice.message) ? choice.message : {};
    const items: Item[] = [];
    this.#reasoning.read(delta);
    for (const part of deltasOf(delta)) items.push(...this.#delta(part));
    const sources = annotationsOf(delta.annotations);
    if (sources.length > 0) items.push({ type: "frame", frame: choiceFrame({ annotations: sources }) });
    if (typeof delta.refusal === "string" && delta.refusal !== "")
      items.push({ type: "frame", frame: choiceFrame({ refusal: delta.refusal }) });
    const calls = this.#toolCalls(delta);
    if (calls.length > 0) {
      this.#said = true;
      this.#thinking = false;
      items.push(...this.#rest(), { type: "frame", frame: choiceFrame({ tool_calls: calls }) });
    }
    const reason = choice.finish_reason;
    // An empty one in each chunk says nothing.
    if (typeof reason === "string" && reason !== "") {
      if (reason === "error") {
        const error = reportedFailure({ type: "server_error" }, this.#url);
        return [...items, { type: "failure", error }];
      }
      this.#finishReason ??= finishReasons[reason.toLowerCase()] ?? reason;
      items.push(...this.#close("stop"));
    }
    return items;
  }

  #delta({ kind, text }: Delta): Item[] {
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
  #rest(): Item[] {
    return this.#tags.flush().map(textItem);
  }

  /** The finish reason once, in a frame of its own. A server that ends after a call without naming it wants it run. */
  #close(otherwise: string): Item[] {
    if (this.#finishSent) return [];
    this.#finishSent = true;
    this.#thinking = false;
    let reason = this.#finishReason ?? otherwise;
    if (reason === "stop" && this.#callCount > 0) reason = "tool_calls";
    // A clean end without a word is no answer.
    if (this.#finishReason === null && otherwise === "stop" && !this.#said) reason = brokenOff;
    this.#finishReason ??= reason;
    const { state } = this.#reasoning;
    const carried: Item[] =
      state && reason !== brokenOff ? [{ type: "frame", frame: choiceFrame({ [stateField]: state }) }] : [];
    return [...this.#rest(), ...carried, { type: "frame", frame: choiceFrame({}, reason) }];
  }

  #toolCalls(delta: JsonObject): JsonObject[] {
    const list = Array.isArray(delta.tool_calls)
      ? delta.tool_calls
      : isObject(delta.tool_calls)
        ? [delta.tool_calls]
        : [];
    const calls = isObject(delta.function_call) ? [...list, { index: 0, function: delta.function_call }] : list;
    return calls.filter(isObject).map((call) => this.#toolCall(call));
  }

  #toolCall(call: JsonObject): JsonObject {
    const told = isObject(call.function) ? call.function : {};
    const id = call.id === undefined || call.id === null || call.id === "" ? null : String(call.id);
    const { index, fresh } = this.#place(id, numberOf(call.index));
    const name = typeof told.name === "string" && told.name !== "" ? told.name : undefined;
    const input = told.arguments;
    const text = typeof input === "string" ? input : input === undefined || input === null ? "" : JSON.stringify(input);
    return {
      index,
      ...(fresh && { id: id ?? `call_${index}`, type: "function" }),
      function: { ...(name && { name }), arguments: text },
      ...(isObject(call.extra_content) && { extra_content: call.extra_content }),
    };
  }

  /** An index without an id, or the other way round, or neither: then it goes on with the call before. */
  #place(id: string | null, told: number | undefined): { index: number; fresh: boolean } {
    const keys = [...(id === null ? [] : [`id ${id}`]), ...(told === undefined ? [] : [`index ${told}`])];
    // Some servers give every call the index 0: a new id is a new call.
    const known = id === null ? this.#calls.get(`index ${told}`) : this.#calls.get(`id ${id}`);
    const goesOn = known ?? (keys.length === 0 && this.#callCount > 0 ? this.#callCount - 1 : undefined);
    if (goesOn !== undefined) return { index: goesOn, fresh: false };
    const index = this.#callCount;
    this.#callCount += 1;
    for (const key of keys) this.#calls.set(key, index);
    return { index, fresh: true };
  }
}

function textItem({ kind, text }: Delta): Item {
  return { type: "delta", key: kind, text, frame: (joined) => choiceFrame({ [kind]: joined }) };
}

/** The texts of a delta in order; reasoning first, where a server sends both at once. */
function deltasOf(delta: JsonObject): Delta[] {
  const reasoning = delta.reasoning_content ?? delta.reasoning ?? delta.thinking;
  const deltas: Delta[] = [];
  if (typeof reasoning === "string") deltas.push({ kind: "reasoning_content", text: reasoning });
  for (const part of Array.isArray(delta.content) ? delta.content : [delta.content]) {
    if (typeof part === "string") deltas.push({ kind: "content", text: part });
    else if (isObject(part)) deltas.push({ kind: partKind(part), text: partText(part) });
  }
  return deltas;
}

function partKind({ type }: JsonObject): Delta["kind"] {
  return type === "thinking" || type === "reasoning" ? "reasoning_content" : "content";
}

/** The text of a part, which may be a list of parts itself. */
function partText(part: JsonObject): string {
  const value = part.thinking ?? part.reasoning ?? part.text;
  if (typeof value === "string") return value;
  return Array.isArray(value)
    ? value.map((each) => (isObject(each) && typeof each.text === "string" ? each.text : "")).join("")
    : "";
}

export type UrlAnnotation = { url: string; title?: string };

/** Of the annotations those that name a page. */
function annotationsOf(value: unknown): UrlAnnotation[] {
  if (!Array.isArray(value)) return [];
  return value.filter(isObject).flatMap((each) => {
    const { url, title } = isObject(each.url_citation) ? each.url_citation : each;
    if (typeof url !== "string" || !URL.canParse(url)) return [];
    return [{ url, ...(typeof title === "string" && { title }) }];
  });
}

function usageOf(value: unknown): JsonObject | null {
  if (!isObject(value)) return null;
  const count = (name: string) => numberOf(value[name]);
  const details = (name: string) => {
    const told = value[name];
    return isObject(told) && Object.fromEntries(Object.entries(told).map(([key, each]) => [key, numberOf(each)]));
  };
  const prompt = details("prompt_tokens_details");
  const completion = details("completion_tokens_details");
  return {
    prompt_tokens: count("prompt_tokens"),
    completion_tokens: count("completion_tokens"),
    total_tokens: count("total_tokens"),
    ...(prompt && { prompt_tokens_details: prompt }),
    ...(completion && { completion_tokens_details: completion }),
  };
}

function choiceFrame(delta: JsonObject, finishReason: string | null = null): string {
  return frameOf({ choices: [{ index: 0, delta, finish_reason: finishReason }] });
}

function frameOf(chunk: JsonObject): string {
  return `data: ${JSON.stringify(chunk)}\n\n`;
}
