// Converts a turn's chunks to Responses events (docs/protocol.md §6.7). `sequence_number` counts
// events, so it follows from the log alone. Ended text and reasoning are closed only when the next
// item begins or the turn ends, since the last item's status depends on the ending. Pure.
import { ChunkState } from "@/lib/turn/chunk-state";
import type { TurnChunk } from "@/lib/turn/chunks";
import type { TurnContext } from "@/lib/turn/turn-context";
import type { DialectFrame, Encode } from "./dialect";
import { endOf } from "./frames";
import { annotationsOf, type Page, pageOf } from "./openai-citations";
import {
  type Annotation,
  argumentsOf,
  type FunctionCallItem,
  type ItemStatus,
  itemId,
  type MessageItem,
  type OutputItem,
  outputText,
  type ReasoningItem,
  type ServerCallItem,
} from "./responses-items";
import { type Outcome, responseObject } from "./responses-object";

type OpenItem = { item: OutputItem; index: number; ended: boolean };

export function responseEvents(context: TurnContext): Encode {
  const events = new ResponseEvents(context);
  return ({ chunk }) => events.encode(chunk);
}

class ResponseEvents {
  readonly #context: TurnContext;
  readonly #state = new ChunkState();
  readonly #output: OutputItem[] = [];
  readonly #pages: Page[] = [];
  /** Keyed by kind and part id. */
  readonly #open = new Map<string, OpenItem>();
  #frames: DialectFrame[] = [];
  #sequence = 0;

  constructor(context: TurnContext) {
    this.#context = context;
  }

  encode(chunk: TurnChunk): DialectFrame[] {
    this.#frames = [];
    this.#state.apply(chunk);
    this.#show(chunk);
    const end = endOf(chunk);
    if (end) this.#end(end);
    return this.#frames;
  }

  #show(chunk: TurnChunk): void {
    switch (chunk.type) {
      case "start":
        this.#emit("response.created", { response: this.#response({ status: "in_progress", output: [] }) });
        this.#emit("response.in_progress", { response: this.#response({ status: "in_progress", output: [] }) });
        break;
      case "source-url":
        this.#pages.push(pageOf(chunk) as Page);
        break;
      case "text-start":
        this.#openText(chunk.id);
        break;
      case "text-delta":
        if (chunk.delta) this.#text(chunk.id, chunk.delta);
        break;
      case "reasoning-start":
        this.#openReasoning(chunk.id);
        break;
      case "reasoning-delta":
        if (chunk.delta) this.#reasoning(chunk.id, chunk.delta);
        break;
      case "text-end":
      case "reasoning-end": {
        const open = this.#open.get(`${chunk.type.startsWith("text") ? "text" : "reasoning"} ${chunk.id}`);
        if (open) open.ended = true;
        break;
      }
      case "tool-input-start":
        this.#openCall(chunk.toolCallId, chunk.toolName);
        break;
      case "tool-input-delta":
        this.#arguments(chunk.toolCallId, chunk.inputTextDelta);
        break;
      case "tool-input-available":
        this.#call(chunk.toolCallId, chunk.toolName, argumentsOf(chunk.input));
        break;
      case "tool-input-error":
        this.#call(chunk.toolCallId, chunk.toolName, argumentsOf(chunk.input));
        this.#answer(chunk.toolCallId, { output: null, error: chunk.errorText });
        break;
      case "tool-output-available":
        if (!chunk.preliminary) this.#answer(chunk.toolCallId, { output: outputText(chunk.output), error: null });
        break;
      case "tool-output-error":
        this.#answer(chunk.toolCallId, { output: null, error: chunk.errorText });
        break;
      case "tool-output-denied":
        this.#answer(chunk.toolCallId, { output: null, error: "denied" });
        break;
      case "message-metadata":
        this.#closeEnded(this.#lastStatus());
        break;
    }
  }

  #openText(id: string): { item: MessageItem; index: number } {
    const { item, index } = this.#openItem(`text ${id}`, {
      type: "message",
      status: "in_progress",
      role: "assistant",
      content: [],
    } as Omit<MessageItem, "id">);
    const part = { type: "output_text" as const, annotations: [], logprobs: [], text: "" };
    this.#emit("response.content_part.added", { item_id: item.id, output_index: index, content_index: 0, part });
    (item as MessageItem).content.push({ ...part });
    return { item: item as MessageItem, index };
  }

  #text(id: string, delta: string): void {
    const { item, index } =
      (this.#open.get(`text ${id}`) as { item: MessageItem; index: number }) ?? this.#openText(id);
    const place = { item_id: item.id, output_index: index, content_index: 0 };
    this.#emit("response.output_text.delta", { ...place, delta, logprobs: [] });
    const [content] = item.content;
    if (content) content.text += delta;
  }

  #openReasoning(id: string): { item: ReasoningItem; index: number } {
    const opened = this.#openItem(`reasoning ${id}`, { type: "reasoning", summary: [] } as Omit<ReasoningItem, "id">);
    return opened as { item: ReasoningItem; index: number };
  }

  #reasoning(id: string, delta: string): void {
    const { item, index } =
      (this.#open.get(`reasoning ${id}`) as { item: ReasoningItem; index: number }) ?? this.#openReasoning(id);
    const place = { item_id: item.id, output_index: index, summary_index: 0 };
    if (item.summary.length === 0) {
      this.#emit("response.reasoning_summary_part.added", { ...place, part: { type: "summary_text", text: "" } });
      item.summary.push({ type: "summary_text", text: "" });
    }
    this.#emit("response.reasoning_summary_text.delta", { ...place, delta });
    const [summary] = item.summary;
    if (summary) summary.text += delta;
  }

  #openCall(callId: string, name: string): OpenItem {
    const call = { status: "in_progress" as const, arguments: "", name };
    const item = this.#context.view.clientTools
      ? ({ type: "function_call", call_id: callId, ...call } satisfies Omit<FunctionCallItem, "id">)
      : ({
          type: "mcp_call",
          approval_request_id: null,
          error: null,
          output: null,
          server_label: "rivulet",
          ...call,
        } satisfies Omit<ServerCallItem, "id">);
    return this.#openItem(`call ${callId}`, item);
  }

  #arguments(callId: string, delta: string): void {
    const open = this.#open.get(`call ${callId}`);
    if (!open || open.ended || !delta) return;
    const { item, index } = open as { item: FunctionCallItem | ServerCallItem; index: number };
    this.#emit(`response.${argumentEvent(item)}.delta`, { item_id: item.id, output_index: index, delta });
    item.arguments += delta;
  }

  /**
   * A function call is complete once its arguments are; a server call stays open until its result.
   */
  #call(callId: string, name: string, json: string): void {
    const open = this.#open.get(`call ${callId}`) ?? this.#openCall(callId, name);
    const { item } = open as { item: FunctionCallItem | ServerCallItem };
    if (open.ended) return;
    if (item.arguments === "") this.#arguments(callId, json);
    this.#emit(`response.${argumentEvent(item)}.done`, {
      item_id: item.id,
      output_index: open.index,
      name: item.name,
      arguments: item.arguments,
    });
    open.ended = true;
    if (item.type === "function_call") this.#close(`call ${callId}`, open, "completed");
  }

  /**
   * A result for a client's call means the call was cut off mid-arguments and will get no output.
   */
  #answer(callId: string, { output, error }: Pick<ServerCallItem, "output" | "error">): void {
    const key = `call ${callId}`;
    const open = this.#open.get(key);
    if (!open) return;
    const { item } = open;
    const outcome = item.type !== "mcp_call" ? "incomplete" : error === null ? "completed" : "failed";
    if (item.type === "mcp_call") {
      Object.assign(item, { output, error });
      this.#emit(`response.mcp_call.${outcome}`, { item_id: item.id, output_index: open.index });
    }
    this.#close(key, open, outcome);
  }

  #openItem(key: string, fields: object): OpenItem {
    this.#closeEnded("completed");
    const { type } = fields as OutputItem;
    const index = this.#output.length;
    const id = itemId(type, this.#context.messageId, index);
    const item = { id, ...fields } as OutputItem;
    if (item.type === "reasoning" && this.#context.view.sealsReasoning) item.encrypted_content = id;
    this.#emit("response.output_item.added", { output_index: index, item });
    if (type === "mcp_call") this.#emit("response.mcp_call.in_progress", { item_id: id, output_index: index });
    this.#output.push(item);
    const open = { item, index, ended: false };
    this.#open.set(key, open);
    return open;
  }

  #closeEnded(status: ItemStatus): void {
    for (const [key, open] of this.#open)
      if (open.ended && open.item.type !== "mcp_call") this.#close(key, open, status);
  }

  #close(key: string, { item, index }: OpenItem, status: ItemStatus | "failed"): void {
    this.#open.delete(key);
    const place = { item_id: item.id, output_index: index };
    if (item.type === "message") this.#closeText(item, place);
    if (item.type === "reasoning") {
      const [part] = item.summary;
      if (part) {
        const at = { ...place, summary_index: 0 };
        this.#emit("response.reasoning_summary_text.done", { ...at, text: part.text });
        this.#emit("response.reasoning_summary_part.done", { ...at, part });
      }
    } else {
      Object.assign(item, { status });
    }
    this.#emit("response.output_item.done", { output_index: index, item });
  }

  #closeText({ content: [part] }: MessageItem, place: { item_id: string; output_index: number }): void {
    if (!part) return;
    const at = { ...place, content_index: 0 };
    part.annotations = annotationsOf(part.text, this.#state.sources, this.#pages).map(
      ({ type, url_citation: cited }) => ({
        type,
        ...cited,
      }),
    );
    part.annotations.forEach((annotation: Annotation, annotation_index) => {
      this.#emit("response.output_text.annotation.added", { ...at, annotation_index, annotation });
    });
    this.#emit("response.output_text.done", { ...at, text: part.text, logprobs: [] });
    this.#emit("response.content_part.done", { ...at, part });
  }

  #lastStatus(): ItemStatus {
    const { status, finishReason } = this.#state.metadata;
    const cut = finishReason === "length" || finishReason === "content-filter";
    return cut || (status !== undefined && status !== "complete") ? "incomplete" : "completed";
  }

  #end(end: "complete" | "stopped" | "failed"): void {
    const status = end === "complete" ? this.#lastStatus() : "incomplete";
    for (const [key, open] of this.#open) this.#close(key, open, status);
    const { finishReason, usage } = this.#state.metadata;
    const outcome = { output: this.#output, usage };
    if (end === "failed") {
      const { error } = this.#state;
      this.#emit("response.failed", { response: this.#response({ ...outcome, status: "failed", error }) });
    } else if (end === "stopped") {
      // The protocol has no cancel event that its clients know.
      const response = this.#response({ ...outcome, status: "cancelled", incomplete: "cancelled" });
      this.#emit("response.incomplete", { response });
    } else if (finishReason === "length" || finishReason === "content-filter") {
      const incomplete = finishReason === "length" ? "max_output_tokens" : "content_filter";
      this.#emit("response.incomplete", { response: this.#response({ ...outcome, status: "incomplete", incomplete }) });
    } else {
      this.#emit("response.completed", { response: this.#response({ ...outcome, status: "completed" }) });
    }
  }

  #response(outcome: Outcome) {
    return responseObject(this.#context, outcome);
  }

  #emit(type: string, fields: object): void {
    const data = JSON.stringify({ type, sequence_number: this.#sequence++, ...fields });
    this.#frames.push({ event: type, data });
  }
}

function argumentEvent({ type }: FunctionCallItem | ServerCallItem): string {
  return type === "function_call" ? "function_call_arguments" : "mcp_call_arguments";
}
