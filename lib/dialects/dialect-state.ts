// State that formats accumulate from chunks: text with paragraphs, sources, tool names, the turn's
// end. Also the same for a whole message. Pure; formats add only their own shape.
import {
  type ChatMessage,
  isTerminal,
  type MessageMetadata,
  parseSource,
  type Source,
  type TurnChunk,
  type TurnError,
} from "@/lib/turn/chunks";
import { interruptedError } from "@/lib/turn/ending";

export class DialectState {
  readonly sources: Source[] = [];
  readonly metadata: Partial<MessageMetadata> = {};
  /** All text so far; equals `contentOf` the message once the turn has ended. */
  text = "";
  /** Tool names by call id. */
  readonly tools = new Map<string, string>();
  /** Why the turn failed or was interrupted. */
  error: TurnError | undefined;
  #startedParts = new Set<string>();
  #stages = new Set<string>();

  /** Returns the text this chunk adds. Each later part starts a new paragraph. */
  apply(chunk: TurnChunk): string {
    switch (chunk.type) {
      case "start":
      case "message-metadata":
        Object.assign(this.metadata, chunk.messageMetadata);
        break;
      case "text-start":
        this.#startedParts.delete(chunk.id);
        break;
      case "text-delta":
        return this.#add(chunk.id, chunk.delta);
      case "source-document": {
        const source = parseSource(chunk);
        if (source) this.sources.push(source);
        break;
      }
      case "tool-input-start":
      case "tool-input-available":
      case "tool-input-error":
        this.tools.set(chunk.toolCallId, chunk.toolName);
        break;
      case "data-turn":
        if (chunk.data.error) this.error = chunk.data.error;
        break;
      case "error":
        this.error ??= { ...interruptedError, message: chunk.errorText };
        break;
    }
    return "";
  }

  /** The stage this chunk enters first, else null. */
  enteredStage(chunk: TurnChunk): "retrieve" | "generate" | null {
    if (chunk.type !== "data-status" || this.#stages.has(chunk.data.stage)) return null;
    this.#stages.add(chunk.data.stage);
    return chunk.data.stage;
  }

  /** True if documents were searched. */
  get searched(): boolean {
    return this.#stages.has("retrieve");
  }

  #add(part: string, delta: string): string {
    if (delta === "") return "";
    const isFirst = !this.#startedParts.has(part);
    if (isFirst) this.#startedParts.add(part);
    const added = isFirst && this.text ? `\n\n${delta}` : delta;
    this.text += added;
    return added;
  }
}

/** How the turn ended, if this is its last chunk; else null. */
export function endOf(chunk: TurnChunk): "complete" | "stopped" | "failed" | null {
  if (!isTerminal(chunk)) return null;
  return chunk.type === "finish" ? "complete" : chunk.type === "abort" ? "stopped" : "failed";
}

/** The message's text, parts joined as paragraphs. */
export function contentOf(message: Pick<ChatMessage, "parts">): string {
  return message.parts.flatMap((part) => (part.type === "text" && part.text ? [part.text] : [])).join("\n\n");
}

export function sourcesOf(message: Pick<ChatMessage, "parts">): Source[] {
  return message.parts.flatMap((part) => (part.type === "source-document" ? (parseSource(part) ?? []) : []));
}

/** A source in the snake-case formats. */
export function showSource({ text, score, documentId, title, filename, chunkId, ordinal, metadata }: Source) {
  return {
    text,
    score,
    metadata: { ...metadata, document_id: documentId, title, filename, chunk_id: chunkId, ordinal },
  };
}

/** Null if the turn ended before the provider reported usage. */
export function showUsage({ usage }: Partial<MessageMetadata>) {
  if (!usage) return null;
  return { input_tokens: usage.inputTokens, output_tokens: usage.outputTokens, total_tokens: usage.totalTokens };
}

/** An unnamed frame, which most formats use for everything. */
export function frame(value: unknown): { data: string } {
  return { data: JSON.stringify(value) };
}
