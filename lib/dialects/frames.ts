// What several formats show of a turn: its stages, end, text, sources and usage. Their encoders
// follow the turn with `ChunkState`. Pure; formats add only their own shape.
import type { ChunkState } from "@/lib/turn/chunk-state";
import {
  type ChatMessage,
  isTerminal,
  type MessageMetadata,
  parseSource,
  type Source,
  type StatusData,
  type TurnChunk,
} from "@/lib/turn/chunks";

/** The stage this chunk enters first, else null. `state` is the one before the chunk. */
export function enteredStage({ statuses }: ChunkState, chunk: TurnChunk): StatusData["stage"] | null {
  return chunk.type === "data-status" && !statuses.has(chunk.data.stage) ? chunk.data.stage : null;
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
