// A message is the fold of its chunks, computed with the AI SDK's own code: what a browser renders
// and what the database keeps cannot differ. Also the inverse, for turns whose chunks are pruned.
import { createUIMessageStream, type DynamicToolUIPart, getToolName, isToolUIPart, type ToolUIPart } from "ai";
import type { ChatMessage, MessageMetadata, TurnChunk } from "./chunks.ts";
import { pushJoined } from "./merge.ts";

/** Chunks processed before yielding to the event loop: a few milliseconds' worth. */
const chunksPerSlice = 500;

/**
 * The message a client holds after these chunks. Never throws: if a chunk breaks the stream's
 * grammar, it returns the message before that chunk and reports to `onProblem`. Linear, unlike the
 * SDK's `readUIMessageStream`, which copies the whole message per chunk. Yields to the event loop.
 */
export async function foldChunks(
  chunks: Iterable<TurnChunk>,
  onProblem?: (error: unknown) => void,
): Promise<ChatMessage> {
  const compact: TurnChunk[] = [];
  for (const chunk of dropDeadChunks([...chunks])) pushJoined(compact, chunk, Number.POSITIVE_INFINITY);
  let message: ChatMessage = { id: "", role: "assistant", parts: [] };
  const folded = createUIMessageStream<ChatMessage>({
    async execute({ writer }) {
      for (const [index, chunk] of compact.entries()) {
        if (index % chunksPerSlice === chunksPerSlice - 1) await new Promise((resolve) => setTimeout(resolve));
        // Copied: the SDK stores a data chunk as a message part and mutates it on the next one.
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
 * Drops chunks that do not affect the message: transient ones, `error`, which the SDK would report
 * as a failed fold, and input deltas of tool calls whose input arrived whole; the SDK reparses the
 * entire input on each delta.
 */
function dropDeadChunks(chunks: TurnChunk[]): TurnChunk[] {
  const completeCalls = new Set<string>();
  const kept = chunks.toReversed().filter((chunk) => {
    if (chunk.type === "tool-input-available" || chunk.type === "tool-input-error") completeCalls.add(chunk.toolCallId);
    if (chunk.type === "tool-input-start") completeCalls.delete(chunk.toolCallId);
    const isTransient = "transient" in chunk && chunk.transient === true;
    return (
      chunk.type !== "error" &&
      !isTransient &&
      !(chunk.type === "tool-input-delta" && completeCalls.has(chunk.toolCallId))
    );
  });
  return kept.reverse();
}

/** The message's text, parts separated by a blank line. */
export function textOf(message: Pick<ChatMessage, "parts">): string {
  return message.parts.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("\n\n");
}

/** Chunks that fold to this stored message: what a reader gets once the log is pruned. */
export function unfoldMessage(message: ChatMessage): TurnChunk[] {
  const { turnId, chatId, model, createdAt, continues, ...ending } =
    message.metadata ?? ({} as NonNullable<ChatMessage["metadata"]>);
  const status = ending.status ?? "complete";
  const startMetadata = { turnId, chatId, model, createdAt, ...(continues ? { continues } : {}) };
  const chunks: TurnChunk[] = [
    { type: "start", messageId: message.id, messageMetadata: startMetadata },
    ...unfoldParts(message.parts),
    { type: "message-metadata", messageMetadata: ending as MessageMetadata },
    { type: "data-turn", data: { turnId, status, ...(ending.error ? { error: ending.error } : {}) }, transient: true },
  ];
  if (status === "complete") chunks.push({ type: "finish" });
  else if (status === "stopped") chunks.push({ type: "abort", reason: "stopped" });
  else chunks.push({ type: "error", errorText: ending.error?.message ?? "The answer was interrupted." });
  return chunks;
}

/** Chunks that fold to these parts, with every step and text closed. */
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
      // All other part types look the same in a message and in the stream.
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
    // The call ended mid-input; the partial input follows from the raw text.
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
