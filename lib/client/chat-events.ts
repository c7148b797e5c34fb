// What a chat client hears of an answer, the same for every wire format (docs/protocol.md §6), and the same read from a
// stored message. Pure; how a format says it is dialects.ts.
import { type ChatMessage, parseSource, type SearchMode, type Source, type Usage } from "@/lib/turn/chunks";

export type ChatSource = {
  text: string;
  /** 0..1. */
  score: number;
  title: string;
  documentId: string;
  /** The number of the citation: `[1]`. */
  ordinal?: number | undefined;
};

/** Fields come as they are known; a format leaves out what it does not say. */
export type AnswerMetadata = {
  messageId?: string;
  chatId?: string;
  model?: string;
  usage?: Usage | null;
  searchMode?: SearchMode | null;
  /** 0..1: how much of the answer its cited sources support. */
  confidence?: number | null;
};

export type ChatEvent =
  | { type: "text"; delta: string }
  /** What the server is doing, as a sentence to show; `done` when it has done that. */
  | { type: "status"; label: string; done: boolean; detail?: string | undefined }
  /** Further sources. They come before the text that cites them. */
  | { type: "sources"; sources: ChatSource[] }
  | { type: "tool-call"; id: string; name: string; arguments: unknown }
  /** `{error}` when the tool failed. */
  | { type: "tool-result"; id: string; result: unknown }
  | { type: "metadata"; metadata: AnswerMetadata }
  /** The conversation up to the answer, oldest first. Only `snapshot` has it. */
  | { type: "history"; messages: { id: string; role: "user" | "assistant"; text: string }[] }
  | ChatEnd;

/** The last event of every answer, and of nothing else. `stopped` and `error` keep the text that came before. */
export type ChatEnd = { type: "done" } | { type: "stopped" } | { type: "error"; message: string; code?: string };

export function isEnd(event: { type: string }): event is ChatEnd {
  return event.type === "done" || event.type === "stopped" || event.type === "error";
}

export function showSource({ text, score, title, documentId, ordinal }: Source): ChatSource {
  return { text, score, title, documentId, ordinal };
}

/**
 * A stored answer as the events of which it was made: in the order of a stream, the text in one piece. `between` is what
 * a format puts between two parts of the text.
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

/** What a reader has been given, to know what is missing when the answer comes otherwise. */
export class Received {
  text = "";
  readonly #seen = new Set<string>();

  see(event: ChatEvent): void {
    if (event.type === "text") this.text += event.delta;
    else if (event.type === "sources") for (const source of event.sources) this.#seen.add(sourceKey(source));
    else this.#seen.add(keyOf(event));
  }

  /** Of a whole answer, the events that have not come yet. Null when it is not the answer that had begun. */
  restOf(whole: ChatEvent[]): ChatEvent[] | null {
    const text = whole.map((event) => (event.type === "text" ? event.delta : "")).join("");
    if (!text.startsWith(this.text)) return null;
    let begun = this.text.length;
    return whole.flatMap((event): ChatEvent[] => {
      if (event.type === "text") {
        const delta = event.delta.slice(begun);
        begun = Math.max(0, begun - event.delta.length);
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
