// Events of an answer for chat clients, the same for every wire format (docs/protocol.md §6), and
// the same derived from a stored message. Pure; dialects.ts decodes the formats.
import { type ChatMessage, parseSource, type SearchMode, type Source, type Usage } from "../../../lib/turn/chunks.ts";

export type ChatSource = {
  text: string;
  /** 0..1. */
  score: number;
  title: string;
  documentId: string;
  /** Citation number: `[1]`. */
  ordinal?: number | undefined;
};

/** Fields appear as they become known; a format omits what it does not report. */
export type AnswerMetadata = {
  messageId?: string;
  chatId?: string;
  model?: string;
  usage?: Usage | null;
  searchMode?: SearchMode | null;
  /** 0..1: how well the cited sources support the answer. */
  confidence?: number | null;
};

export type ChatEvent =
  | { type: "text"; delta: string }
  /** Progress message to display; `done` once that stage is finished. */
  | { type: "status"; label: string; done: boolean; detail?: string | undefined }
  /** Further sources, sent before the text that cites them. */
  | { type: "sources"; sources: ChatSource[] }
  | { type: "tool-call"; id: string; name: string; arguments: unknown }
  /** `{error}` if the tool failed. */
  | { type: "tool-result"; id: string; result: unknown }
  | { type: "metadata"; metadata: AnswerMetadata }
  /** The conversation before the answer, oldest first. Only `snapshot` sends it. */
  | { type: "history"; messages: { id: string; role: "user" | "assistant"; text: string }[] }
  | ChatEnd;

/**
 * The last event of every answer, and only that. `stopped` and `error` keep the text received so
 * far.
 */
export type ChatEnd = { type: "done" } | { type: "stopped" } | { type: "error"; message: string; code?: string };

export function isEnd(event: { type: string }): event is ChatEnd {
  return event.type === "done" || event.type === "stopped" || event.type === "error";
}

export function showSource({ text, score, title, documentId, ordinal }: Source): ChatSource {
  return { text, score, title, documentId, ordinal };
}

/**
 * The events of a stored answer, in stream order, the text in one piece. `between` separates text
 * parts in this format.
 */
export function eventsOf({ id, parts, metadata }: ChatMessage, between = "\n\n"): ChatEvent[] {
  const { chatId, model, usage, searchMode, confidence, status, error } = metadata ?? {};
  const sources = parts.flatMap((part) => (part.type === "source-document" ? (parseSource(part) ?? []) : []));
  const texts = parts.flatMap((part) => (part.type === "text" && part.text ? [part.text] : []));
  const end: ChatEnd = error
    ? { type: "error", message: error.message, code: error.code }
    : { type: status === "stopped" ? "stopped" : "done" };
  return [
    ...(sources.length > 0 ? [{ type: "sources" as const, sources: sources.map(showSource) }] : []),
    ...parts.flatMap(toolEvents),
    ...(texts.length > 0 ? [{ type: "text" as const, delta: texts.join(between) }] : []),
    { type: "metadata", metadata: { messageId: id, chatId, model, usage, searchMode, confidence } },
    end,
  ];
}

function toolEvents(part: ChatMessage["parts"][number]): ChatEvent[] {
  if (!("toolCallId" in part)) return [];
  const name = part.type === "dynamic-tool" ? part.toolName : part.type.slice("tool-".length);
  const call: ChatEvent = { type: "tool-call", id: part.toolCallId, name, arguments: part.input };
  if (part.state === "output-available") return [call, { type: "tool-result", id: call.id, result: part.output }];
  if (part.state === "output-error")
    return [call, { type: "tool-result", id: call.id, result: { error: part.errorText } }];
  return [call];
}

/**
 * What a reader has received in any format: restores the breaks between paragraphs, and computes
 * what is missing in a fallback. Not a `ChunkState` (lib/turn/chunk-state.ts): most formats carry
 * no chunks, and the fallback must compare the text itself.
 */
export class ReceivedAnswer {
  #text = "";
  /** The next text starts a new part of the answer. */
  #paragraph = false;
  readonly #seen = new Set<string>();

  /** Returns the event for the reader; null for `paragraph`, which the next text shows. */
  add(event: ChatEvent | { type: "paragraph" }): ChatEvent | null {
    if (event.type === "paragraph") {
      this.#paragraph = this.#text !== "";
      return null;
    }
    if (event.type === "text") {
      const shown = this.#paragraph ? { ...event, delta: `\n\n${event.delta}` } : event;
      this.#paragraph = false;
      this.#text += shown.delta;
      return shown;
    }
    if (event.type === "sources") for (const source of event.sources) this.#seen.add(sourceKey(source));
    else this.#seen.add(keyOf(event));
    return event;
  }

  /**
   * The events of a whole answer that are still missing. Null if it is not the answer that was
   * started.
   */
  missingOf(whole: ChatEvent[]): ChatEvent[] | null {
    const text = whole.map((event) => (event.type === "text" ? event.delta : "")).join("");
    if (!text.startsWith(this.#text)) return null;
    this.#paragraph = false;
    let skip = this.#text.length;
    return whole.flatMap((event): ChatEvent[] => {
      if (event.type === "text") {
        const delta = event.delta.slice(skip);
        skip = Math.max(0, skip - event.delta.length);
        return delta ? [{ type: "text", delta }] : [];
      }
      if (event.type !== "sources") return this.#seen.has(keyOf(event)) ? [] : [event];
      const sources = event.sources.filter((source) => !this.#seen.has(sourceKey(source)));
      return sources.length > 0 ? [{ type: "sources", sources }] : [];
    });
  }
}

function keyOf(event: ChatEvent): string {
  return event.type === "tool-call" || event.type === "tool-result"
    ? `${event.type} ${event.id}`
    : JSON.stringify(event);
}

function sourceKey({ documentId, ordinal, text }: ChatSource): string {
  return `source ${documentId} ${ordinal} ${text}`;
}
