// A message is the fold of its chunks, and the fold is the AI SDK's own: what a browser draws from the stream
// and what the database keeps are made by the same code. Also the way back, for turns whose chunks are pruned.
import { createUIMessageStream, type DynamicToolUIPart, getToolName, isToolUIPart, type ToolUIPart } from "ai";
import type { ChatMessage, MessageMetadata, TurnChunk } from "./chunks";
import { pushJoined } from "./merge";

/** Chunks between two breaks for other work: a few milliseconds. */
const chunksAtOnce = 500;

/**
 * The message that a client holds after these chunks. Never throws: where a chunk breaks the stream's grammar, the
 * message is the one before it and `onProblem` is told. Linear: the SDK's `readUIMessageStream` would copy the whole message
 * at each chunk. Other work runs in between.
 */
export async function foldChunks(
  chunks: Iterable<TurnChunk>,
  onProblem?: (error: unknown) => void,
): Promise<ChatMessage> {
  const compact: TurnChunk[] = [];
  for (const chunk of withoutDeadChunks([...chunks])) pushJoined(compact, chunk, Number.POSITIVE_INFINITY);
  let message: ChatMessage = { id: "", role: "assistant", parts: [] };
  const folded = createUIMessageStream<ChatMessage>({
    async execute({ writer }) {
      for (const [index, chunk] of compact.entries()) {
        if (index % chunksAtOnce === chunksAtOnce - 1) await new Promise((resolve) => setTimeout(resolve));
        // Copies: the SDK makes a data chunk a part of the message, and writes into it when the next one comes.
        writer.write({ ...chunk });
      }
    },
    generateId: () => "",
    onEnd: ({ responseMessage }) => {
      message = responseMessage;
    },
  });
  try {
    const reader = folded.getReader();
    while (!(await reader.read()).done);
  } catch (error) {
    onProblem?.(error);
  }
  return message;
}

/**
 * Leaves out what changes nothing in the message: what is transient, `error`, which the SDK would report as a failure of the fold, and the
 * pieces of a tool's input that came whole in the end; the SDK parses all of an input again with each piece.
 */
function withoutDeadChunks(chunks: TurnChunk[]): TurnChunk[] {
  const whole = new Set<string>();
  const kept = chunks.toReversed().filter((chunk) => {
    if (chunk.type === "tool-input-available" || chunk.type === "tool-input-error") whole.add(chunk.toolCallId);
    if (chunk.type === "tool-input-start") whole.delete(chunk.toolCallId);
    const isTransient = "transient" in chunk && chunk.transient === true;
    return (
      chunk.type !== "error" && !isTransient && !(chunk.type === "tool-input-delta" && whole.has(chunk.toolCallId))
    );
  });
  return kept.reverse();
}

/** The text of a message as one string, parts separated by a blank line. */
export function textOf(message: Pick<ChatMessage, "parts">): string {
  return message.parts.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("\n\n");
}

/** Chunks whose fold is this stored message: what a follower gets once the log itself is pruned. */
export function unfoldMessage(message: ChatMessage): TurnChunk[] {
  const { turnId, chatId, model, createdAt, continues, ...ending } =
    message.metadata ?? ({} as NonNullable<ChatMessage["metadata"]>);
  const status = ending.status ?? "complete";
  const begun = { turnId, chatId, model, createdAt, ...(continues ? { continues } : {}) };
  const chunks: TurnChunk[] = [
    { type: "start", messageId: message.id, messageMetadata: begun },
    ...unfoldParts(message.parts),
    { type: "message-metadata", messageMetadata: ending as MessageMetadata },
    { type: "data-turn", data: { turnId, status, ...(ending.error ? { error: ending.error } : {}) }, transient: true },
  ];
  if (status === "complete") chunks.push({ type: "finish" });
  else if (status === "stopped") chunks.push({ type: "abort", reason: "stopped" });
  else chunks.push({ type: "error", errorText: ending.error?.message ?? "The answer was interrupted." });
  return chunks;
}

/** Chunks whose fold has these parts, every step and text closed. */
export function unfoldParts(parts: ChatMessage["parts"]): TurnChunk[] {
  const chunks: TurnChunk[] = [];
  let stepOpen = false;
  const closeStep = () => {
    if (stepOpen) chunks.push({ type: "finish-step" });
    stepOpen = false;
  };
  parts.forEach((part, index) => {
    if (part.type === "step-start") {
      closeStep();
      chunks.push({ type: "start-step" });
      stepOpen = true;
    } else if (part.type === "text" || part.type === "reasoning") {
      const { type, text, state: _, ...rest } = part;
      const id = (part.type === "reasoning" && part.id) || String(index);
      chunks.push({ type: `${type}-start`, id });
      if (text) chunks.push({ type: `${type}-delta`, id, delta: text });
      chunks.push({ ...rest, type: `${type}-end`, id });
    } else if (isToolUIPart(part)) {
      chunks.push(...unfoldTool(part));
    } else {
      // The other parts look in a message as they do in the stream.
      chunks.push(part);
    }
  });
  closeStep();
  return chunks;
}

function unfoldTool(part: ToolUIPart | DynamicToolUIPart): TurnChunk[] {
  const { toolCallId, state, title, toolMetadata, providerExecuted, approval } = part;
  const toolName = getToolName(part);
  const dynamic = part.type === "dynamic-tool" ? { dynamic: true } : {};
  const call = { toolCallId, toolName, title, toolMetadata, providerExecuted, ...dynamic };
  const providerMetadata = part.callProviderMetadata;
  const chunks: TurnChunk[] = [];
  const rawInput = "rawInput" in part ? part.rawInput : undefined;
  if (state === "input-streaming" || part.input === undefined || typeof rawInput === "string") {
    // The call ended inside its input: what is known of the input follows from the text that had come.
    const asText = rawInput !== undefined && part.input === rawInput ? "text" : undefined;
    const { inputEncoding = asText } = part as { inputEncoding?: "json" | "text" };
    chunks.push({ type: "tool-input-start", ...call, inputEncoding, providerMetadata });
    if (typeof rawInput === "string") chunks.push({ type: "tool-input-delta", toolCallId, inputTextDelta: rawInput });
  } else {
    chunks.push({ type: "tool-input-available", ...call, input: part.input, providerMetadata });
  }
  if (approval) {
    const { id: approvalId, approved, reason, requestReason, descriptor, ...rest } = approval;
    const request = { reason: requestReason, approvalDescriptor: descriptor, ...rest };
    chunks.push({ type: "tool-approval-request", approvalId, toolCallId, ...request });
    if (approved !== undefined) chunks.push({ type: "tool-approval-response", approvalId, approved, reason });
  }
  if (state === "output-available") {
    const { output, preliminary, resultProviderMetadata } = part;
    const result = { output, preliminary, providerMetadata: resultProviderMetadata };
    chunks.push({ type: "tool-output-available", toolCallId, ...result, ...dynamic });
  } else if (state === "output-error") {
    const { errorText, resultProviderMetadata } = part;
    const result = { errorText, providerMetadata: resultProviderMetadata };
    chunks.push({ type: "tool-output-error", toolCallId, ...result, ...dynamic });
  } else if (state === "output-denied") {
    chunks.push({ type: "tool-output-denied", toolCallId });
  }
  return chunks;
}
