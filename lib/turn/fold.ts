// A message is the fold of its chunks, and the fold is the AI SDK's own: what a browser draws from the stream
// and what the database keeps are made by the same code. Also the way back, for turns whose chunks are pruned.
import { readUIMessageStream } from "ai";
import type { ChatMessage, MessageMetadata, TurnChunk } from "./chunks";
import { pushJoined } from "./merge";

/**
 * The message that a client holds after these chunks. Never throws: where a chunk breaks the stream's grammar, the
 * message is the one before it and `onProblem` is told.
 */
export async function foldChunks(
  chunks: Iterable<TurnChunk>,
  onProblem?: (error: unknown) => void,
): Promise<ChatMessage> {
  const compact: TurnChunk[] = [];
  // An `error` chunk changes nothing in the message; the SDK would report it as a failure of the fold.
  for (const chunk of chunks) if (chunk.type !== "error") pushJoined(compact, chunk);
  const stream = new ReadableStream<TurnChunk>({
    start(controller) {
      for (const chunk of compact) controller.enqueue(chunk);
      controller.close();
    },
  });
  let message: ChatMessage = { id: "", role: "assistant", parts: [] };
  for await (const state of readUIMessageStream<ChatMessage>({ stream, onError: onProblem })) message = state;
  return message;
}

/** The text of a message as one string, parts separated by a blank line. */
export function textOf(message: Pick<ChatMessage, "parts">): string {
  return message.parts.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("\n\n");
}

/** Chunks whose fold is this stored message: what a follower gets once the log itself is pruned. */
export function unfoldMessage(message: ChatMessage): TurnChunk[] {
  const { turnId, chatId, model, createdAt, ...ending } =
    message.metadata ?? ({} as NonNullable<ChatMessage["metadata"]>);
  const status = ending.status ?? "complete";
  const chunks: TurnChunk[] = [
    { type: "start", messageId: message.id, messageMetadata: { turnId, chatId, model, createdAt } },
  ];
  let stepOpen = false;
  const closeStep = () => {
    if (stepOpen) chunks.push({ type: "finish-step" });
    stepOpen = false;
  };
  message.parts.forEach((part, index) => {
    const id = part.type === "reasoning" && part.id ? part.id : String(index);
    if (part.type === "step-start") {
      closeStep();
      chunks.push({ type: "start-step" });
      stepOpen = true;
    } else if (part.type === "text" || part.type === "reasoning") {
      const meta = part.providerMetadata ? { providerMetadata: part.providerMetadata } : {};
      chunks.push({ type: `${part.type}-start`, id, ...meta });
      if (part.text) chunks.push({ type: `${part.type}-delta`, id, delta: part.text });
      chunks.push({ type: `${part.type}-end`, id, ...meta });
    } else if (part.type === "source-document" || part.type === "source-url" || part.type === "file") {
      chunks.push(part);
    } else if (part.type === "data-status") {
      chunks.push(part);
    } else if (part.type === "dynamic-tool" || part.type.startsWith("tool-")) {
      chunks.push(...unfoldTool(part as Parameters<typeof unfoldTool>[0]));
    }
  });
  closeStep();
  chunks.push(
    { type: "message-metadata", messageMetadata: ending as MessageMetadata },
    { type: "data-turn", data: { turnId, status, ...(ending.error ? { error: ending.error } : {}) }, transient: true },
  );
  if (status === "complete") chunks.push({ type: "finish" });
  else if (status === "stopped") chunks.push({ type: "abort", reason: "stopped" });
  else chunks.push({ type: "error", errorText: ending.error?.message ?? "The answer was interrupted." });
  return chunks;
}

function unfoldTool(part: {
  type: string;
  toolName?: string;
  toolCallId: string;
  input?: unknown;
  output?: unknown;
  errorText?: string;
  state: string;
}): TurnChunk[] {
  const dynamic = part.type === "dynamic-tool" ? { dynamic: true } : {};
  const toolName = part.toolName ?? part.type.slice("tool-".length);
  const { toolCallId } = part;
  const chunks: TurnChunk[] = [
    { type: "tool-input-available", toolCallId, toolName, input: part.input ?? {}, ...dynamic },
  ];
  if (part.state === "output-available")
    chunks.push({ type: "tool-output-available", toolCallId, output: part.output, ...dynamic });
  if (part.state === "output-error")
    chunks.push({ type: "tool-output-error", toolCallId, errorText: part.errorText ?? "", ...dynamic });
  return chunks;
}
