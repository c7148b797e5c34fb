// The Responses API as its imitators stream it: what they leave out is filled in, and what is no event of it is left out. Pure.
import {
  type EventReader,
  type Item,
  isObject,
  type JsonObject,
  objectOf,
  type ProviderEvent,
  reportedFailure,
} from "./answer-events";

/** The last event of an answer, whatever it says of it. */
const lastEvents = new Set(["response.completed", "response.incomplete", "response.failed"]);

export class ResponsesEvents implements EventReader {
  readonly #url: string;
  /** The ids of the items, by their place in the output. */
  readonly #items = new Map<unknown, unknown>();
  /** From its beginning to the first item that is shown, and while it reasons. */
  #thinking = false;

  /** `url` is named by the failures. */
  constructor(url: string) {
    this.#url = url;
  }

  get thinking(): boolean {
    return this.#thinking;
  }

  read({ data }: ProviderEvent): Item[] {
    const event = objectOf(data);
    const type = event?.type;
    if (!event || typeof type !== "string") {
      const error = event?.error;
      return error ? [{ type: "failure", error: reportedFailure(error, this.#url) }] : [];
    }
    if (type !== "error" && !type.startsWith("response.")) return [];
    const filled = this.#filled(event, type);
    if (type === "response.output_text.delta" && typeof filled.delta === "string") return [deltaItem(filled)];
    const items: Item[] = [{ type: "frame", frame: frameOf(filled) }];
    if (lastEvents.has(type)) items.push({ type: "end" });
    return items;
  }

  /** Its last event is also the end. */
  get settled(): boolean {
    return false;
  }

  /** The adapter itself tells an answer without its last event from a whole one. */
  finish(): Item[] {
    return [];
  }

  readWhole(body: unknown): Item[] | null {
    if (!isObject(body)) return null;
    if (body.error) return [{ type: "failure", error: reportedFailure(body.error, this.#url) }];
    if (!Array.isArray(body.output)) return null;
    const events: JsonObject[] = [{ type: "response.created", response: { ...body, output: [] } }];
    for (const [index, item] of body.output.filter(isObject).entries()) {
      const at = { output_index: index, item_id: item.id ?? `item_${index}` };
      events.push({
        type: "response.output_item.added",
        output_index: index,
        item: { ...item, ...(item.content ? { content: [] } : {}) },
      });
      for (const [part, content] of (Array.isArray(item.content) ? item.content.filter(isObject) : []).entries())
        if (typeof content.text === "string")
          events.push({ type: "response.output_text.delta", ...at, content_index: part, delta: content.text });
      events.push({ type: "response.output_item.done", output_index: index, item });
    }
    events.push({ type: "response.completed", response: body });
    return events.flatMap((event) => this.read({ name: undefined, data: JSON.stringify(event) }));
  }

  #filled(event: JsonObject, type: string): JsonObject {
    const { item, output_index: place } = event;
    if (type === "response.created") this.#thinking = true;
    if (isObject(item)) {
      if (type === "response.output_item.added") this.#items.set(place, item.id);
      this.#thinking = item.type === "reasoning" && type === "response.output_item.added";
      return event;
    }
    if (isObject(event.response) && (type === "response.created" || type === "response.in_progress"))
      return { ...event, response: { created_at: 0, model: "", ...event.response } };
    if (type.includes("delta") && event.item_id === undefined && this.#items.has(place))
      return { ...event, item_id: this.#items.get(place) };
    return event;
  }
}

function deltaItem(event: JsonObject): Item {
  const { item_id, output_index, content_index, delta } = event;
  return {
    type: "delta",
    key: `${item_id} ${output_index} ${content_index}`,
    text: delta as string,
    frame: (text) => frameOf({ ...event, delta: text }),
  };
}

function frameOf(event: JsonObject): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}
