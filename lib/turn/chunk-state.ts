// What a turn's chunks so far have opened, called, found and reported. The one place that follows
// chunks: the run, its ending, every dialect and the browser's catch-up derive what they need from
// it with pure functions. Keeps no text, since every live turn and every reader holds one. Constant
// work per chunk. Pure.
//
// Followed elsewhere: the SDK's parts, which hold more than the chunks made of them
// (step-transcript.ts), and the events of other formats in the browser (packages/client/src/chat-events.ts).
import {
  type MessageMetadata,
  parseSource,
  type Source,
  type StatusData,
  type TurnChunk,
  type TurnError,
} from "./chunks.ts";

type CallState = {
  name: string;
  dynamic: boolean;
  /** `streaming`: the input is incomplete. `answered`: by a result, an error or a refusal. */
  state: "streaming" | "called" | "answered";
  /** Request for consent; `approved` is undefined until decided. */
  request?: { id: string; approved?: boolean };
};

/** An invalid input answers its own call. */
const inputStates = {
  "tool-input-start": "streaming",
  "tool-input-available": "called",
  "tool-input-error": "answered",
} as const;

export class ChunkState {
  readonly metadata: Partial<MessageMetadata> = {};
  /** Why the turn failed or was interrupted. */
  error: TurnError | undefined;
  /** Latest status per stage. */
  readonly statuses = new Map<StatusData["stage"], StatusData>();
  readonly sources: Source[] = [];
  /** Steps begun, the open one included. */
  steps = 0;
  stepOpen = false;
  /** Open text parts by id; true once they have text. */
  readonly openTexts = new Map<string, boolean>();
  readonly openReasonings = new Set<string>();
  /** All tool calls by id, in the model's order. */
  readonly calls = new Map<string, CallState>();
  /** Of the last answer that its provider stores (upstream.ts). */
  responseId: string | undefined;
  #hasText = false;

  constructor(chunks: Iterable<TurnChunk> = []) {
    for (const chunk of chunks) this.apply(chunk);
  }

  /**
   * Feed every chunk in order. Returns the text this chunk adds: parts are separated by a blank
   * line, so together they equal the text of the message.
   */
  apply(chunk: TurnChunk): string {
    switch (chunk.type) {
      case "start":
      case "message-metadata":
        Object.assign(this.metadata, chunk.messageMetadata);
        break;
      case "data-turn":
        if (chunk.data.error) this.error = chunk.data.error;
        break;
      case "error":
        this.error ??= { code: "interrupted", message: chunk.errorText, retryable: true };
        break;
      case "data-status":
        this.statuses.set(chunk.data.stage, chunk.data);
        break;
      case "data-upstream":
        this.responseId = chunk.data.responseId;
        break;
      case "source-document": {
        const source = parseSource(chunk);
        if (source) this.sources.push(source);
        break;
      }
      case "start-step":
        this.steps += 1;
        this.stepOpen = true;
        break;
      case "finish-step":
        this.stepOpen = false;
        break;
      case "text-start":
        this.openTexts.set(chunk.id, false);
        break;
      case "text-delta":
        return this.#addText(chunk.id, chunk.delta);
      case "text-end":
        this.openTexts.delete(chunk.id);
        break;
      case "reasoning-start":
        this.openReasonings.add(chunk.id);
        break;
      case "reasoning-end":
        this.openReasonings.delete(chunk.id);
        break;
      case "tool-input-start":
      case "tool-input-available":
      case "tool-input-error": {
        const { type, toolCallId, toolName: name, dynamic = false } = chunk;
        this.calls.set(toolCallId, { name, dynamic, state: inputStates[type] });
        break;
      }
      case "tool-approval-request": {
        const call = this.calls.get(chunk.toolCallId);
        if (call) call.request = { id: chunk.approvalId };
        break;
      }
      case "tool-approval-response":
        for (const { request } of this.calls.values())
          if (request?.id === chunk.approvalId) request.approved = chunk.approved;
        break;
      case "tool-output-available":
      case "tool-output-error":
      case "tool-output-denied": {
        const call = this.calls.get(chunk.toolCallId);
        if (call) call.state = "answered";
        break;
      }
    }
    return "";
  }

  #addText(id: string, delta: string): string {
    if (delta === "") return "";
    const isFirst = this.openTexts.get(id) === false;
    if (isFirst) this.openTexts.set(id, true);
    const added = isFirst && this.#hasText ? `\n\n${delta}` : delta;
    this.#hasText = true;
    return added;
  }
}
