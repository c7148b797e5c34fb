// Reads Responses API streams of imitators: fills in what they omit, and drops foreign events.
// Pure.
import {
  type EventReader,
  type Item,
  isEndMark,
  isObject,
  type JsonObject,
  numberOf,
  objectOf,
  type ProviderEvent,
  reportedFailure,
  unreadable,
} from "./answer-events";
import { doneItem, filledEvent, plainItem, plainResponse } from "./canonical-responses";
import { failureIn, isPing } from "./failure-shapes";

type OutputItem = {
  place: number;
  id: string;
  type: string;
  /** Characters already emitted of its text and reasoning, by part. */
  shown: Map<string, number>;
  /** For a call. */
  call: { id: string; name: string; input: string };
  done: boolean;
};

/** Visible reasoning, under the names that imitators use. */
const reasoningDeltas = new Set([
  "response.reasoning_text.delta",
  "response.reasoning.delta",
  "response.reasoning_content.delta",
  "response.reasoning_summary.delta",
]);

export class ResponsesReader implements EventReader {
  readonly settled = false;
  readonly graceMs = 0;
  readonly #url: string;
  /** By output index. */
  readonly #items = new Map<number, OutputItem>();
  #last: OutputItem | undefined;
  #created = false;
  #foreign = false;
  /** From the start until the first visible item, and while reasoning. */
  #thinking = false;

  /** `url` appears in failures. */
  constructor(url: string) {
    this.#url = url;
  }

  get thinking(): boolean {
    return this.#thinking;
  }

  read({ name, data }: ProviderEvent): Item[] {
    if (isEndMark(data)) return this.#shown ? this.#completed({}, "response.completed") : [];
    const event = objectOf(data);
    if (!event) return [];
    const type = typeof event.type === "string" && event.type !== "" ? event.type : (name ?? "");
    if (type.startsWith("response.")) return this.#event(type, event);
    const failure = failureIn(event, name);
    if (failure) return [this.#failure(failure)];
    this.#foreign ||= !isPing(event, name);
    return [];
  }

  /** The adapter itself detects an answer without its last event. */
  finish(failed: boolean): Item[] {
    if (!failed && this.#foreign && !this.#created) throw unreadable();
    return [];
  }

  readJson(body: unknown): Item[] | null {
    if (!isObject(body)) return null;
    const failure = failureIn(body);
    if (failure) return [this.#failure(failure)];
    if (!Array.isArray(body.output)) return null;
    return this.#completed(body, body.status === "incomplete" ? "response.incomplete" : "response.completed");
  }

  get #shown(): boolean {
    return this.#items.size > 0;
  }

  #failure(reported: unknown): Item {
    return { type: "failure", error: reportedFailure(reported, this.#url) };
  }

  #event(type: string, event: JsonObject): Item[] {
    switch (type) {
      case "response.created":
      case "response.in_progress":
        return this.#begin(type, event);
      case "response.output_item.added":
        return this.#added(event);
      case "response.output_item.done":
        return this.#done(event);
      case "response.output_text.delta":
      case "response.refusal.delta":
        return this.#text(type, event, event.delta);
      case "response.output_text.done":
        return this.#remainder(event, event.text);
      case "response.function_call_arguments.delta":
        return this.#input(event, event.delta);
      case "response.function_call_arguments.done":
        return this.#input(event, this.#itemOf(event)?.call.input === "" ? event.arguments : "");
      case "response.completed":
      case "response.done":
      case "response.incomplete":
        return this.#completed(event.response, type === "response.incomplete" ? type : "response.completed");
      case "response.failed":
      case "response.cancelled":
        return [this.#failure((isObject(event.response) && event.response.error) || { type: "server_error" })];
    }
    if (reasoningDeltas.has(type)) return this.#reasoning(event);
    const item = this.#itemOf(event);
    const filled = filledEvent(type, { ...event, ...(item && { item_id: item.id, output_index: item.place }) });
    return filled ? [...this.#begun(), frameItem(filled)] : [];
  }

  #begin(type: string, event: JsonObject): Item[] {
    this.#created = true;
    this.#thinking ||= this.#items.size === 0;
    const response = isObject(event.response) ? event.response : {};
    const { id = "response", created_at: at, model = "" } = response;
    const filled = { id: String(id), created_at: numberOf(at) ?? 0, model: String(model) };
    return [frameItem({ ...event, type, response: { ...response, ...filled } })];
  }

  /** Some servers begin with the first item. */
  #begun(): Item[] {
    return this.#created ? [] : this.#begin("response.created", {});
  }

  #added(event: JsonObject): Item[] {
    const item = isObject(event.item) ? event.item : {};
    const place = numberOf(event.output_index) ?? this.#items.size;
    const type = typeof item.type === "string" ? item.type : "message";
    const id = typeof item.id === "string" ? item.id : `item_${place}`;
    const call = { id: String(item.call_id ?? id), name: String(item.name ?? ""), input: "" };
    this.#last = { place, id, type, shown: new Map(), call, done: false };
    this.#items.set(place, this.#last);
    this.#thinking = type === "reasoning";
    const filled = type === "function_call" ? { call_id: call.id, name: call.name, arguments: "" } : {};
    const added = { ...plainItem(item), id, type, ...filled };
    return [...this.#begun(), frameItem({ type: "response.output_item.added", output_index: place, item: added })];
  }

  /** The item an event refers to: by index, by id, or the last one. */
  #itemOf({ output_index: place, item_id: id }: JsonObject): OutputItem | undefined {
    const known = place === undefined ? undefined : this.#items.get(numberOf(place) ?? -1);
    if (known || typeof place === "number") return known;
    return id === undefined || id === this.#last?.id ? this.#last : this.#items.values().find((item) => item.id === id);
  }

  /** The event's item, announced first if the server did not. */
  #announced(event: JsonObject, type: string): { item: OutputItem; items: Item[] } {
    const known = this.#itemOf(event);
    if (known && known.type === type) return { item: known, items: [] };
    const item = { type, ...(typeof event.item_id === "string" && { id: event.item_id }) };
    const items = this.#added({ output_index: known ? undefined : event.output_index, item });
    return { item: this.#last as OutputItem, items };
  }

  #text(type: string, event: JsonObject, text: unknown): Item[] {
    if (typeof text !== "string" || text === "") return [];
    const { item, items } = this.#announced(event, "message");
    this.#thinking = false;
    show(item, event, text);
    const at = { item_id: item.id, output_index: item.place, content_index: numberOf(event.content_index) ?? 0 };
    if (type !== "response.output_text.delta") return [...items, frameItem({ type, ...at, delta: text })];
    return [
      ...items,
      {
        type: "delta",
        key: `${item.id} ${at.content_index}`,
        text,
        frame: (delta) => frameOf({ type, ...at, delta }),
      },
    ];
  }

  /** The part of a complete text that no delta delivered. */
  #remainder(event: JsonObject, text: unknown): Item[] {
    if (typeof text !== "string") return [];
    const shown = this.#itemOf(event)?.shown.get(partOf(event)) ?? 0;
    return this.#text("response.output_text.delta", event, text.slice(shown));
  }

  #reasoning(event: JsonObject): Item[] {
    if (typeof event.delta !== "string" || event.delta === "") return [];
    const { item, items } = this.#announced(event, "reasoning");
    show(item, event, event.delta);
    const type = "response.reasoning_summary_text.delta";
    const at = { item_id: item.id, output_index: item.place, summary_index: 0 };
    return [...items, frameItem({ type, ...at, delta: event.delta })];
  }

  #input(event: JsonObject, text: unknown): Item[] {
    const item = this.#itemOf(event);
    if (item?.type !== "function_call" || typeof text !== "string" || text === "") return [];
    item.call.input += text;
    const at = { item_id: item.id, output_index: item.place };
    return [frameItem({ type: "response.function_call_arguments.delta", ...at, delta: text })];
  }

  #done(event: JsonObject): Item[] {
    const reported = isObject(event.item) ? event.item : {};
    const at = { output_index: event.output_index, item_id: reported.id ?? event.item_id };
    let item = this.#itemOf(at);
    const items: Item[] = [];
    if (!item || item.done) {
      items.push(...this.#added({ output_index: numberOf(event.output_index), item: reported }));
      item = this.#last as OutputItem;
    }
    if (Array.isArray(reported.content))
      for (const [index, part] of reported.content.filter(isObject).entries()) {
        const where = { output_index: item.place, content_index: index };
        if (item.type === "message") items.push(...this.#remainder(where, part.text));
        else if (item.type === "reasoning" && item.shown.size === 0)
          items.push(...this.#reasoning({ ...where, delta: part.text }));
      }
    item.done = true;
    this.#thinking = false;
    return [
      ...items,
      frameItem({ type: "response.output_item.done", output_index: item.place, item: doneItem(reported, item) }),
    ];
  }

  /** The end of the answer: items only the final event contains, unclosed calls, and usage. */
  #completed(reported: unknown, type: string): Item[] {
    const response = isObject(reported) ? reported : {};
    const items = this.#begun();
    const output = Array.isArray(response.output) ? response.output.filter(isObject) : [];
    if (!this.#shown)
      for (const [index, item] of output.entries()) items.push(...this.#done({ output_index: index, item }));
    for (const { done, place } of [...this.#items.values()])
      if (!done && type === "response.completed")
        items.push(...this.#done({ output_index: place, item: output[place] ?? {} }));
    this.#thinking = false;
    return [...items, frameItem({ type, response: plainResponse(response) }), { type: "end" }];
  }
}

function partOf({ content_index: index }: JsonObject): string {
  return String(index ?? 0);
}

function show(item: OutputItem, event: JsonObject, text: string): void {
  const part = partOf(event);
  item.shown.set(part, (item.shown.get(part) ?? 0) + text.length);
}

function frameItem(event: JsonObject): Item {
  return { type: "frame", frame: frameOf(event) };
}

function frameOf(event: JsonObject): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}
