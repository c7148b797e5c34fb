// How every turn ends: open parts are closed, then metadata, the final status and one terminal
// (docs/protocol.md §1 and §4). Used by the run, and by the log for a turn whose owner died. Pure.
import type { ChunkState } from "./chunk-state";
import type { FinalState, MessageMetadata, TurnChunk, TurnError } from "./chunks";

/** The chunks that close open texts and reasoning, which must close inside their step. */
export function closeTexts({ openReasonings, openTexts }: ChunkState): TurnChunk[] {
  const chunks: TurnChunk[] = [];
  for (const id of openReasonings) chunks.push({ type: "reasoning-end", id });
  for (const id of openTexts.keys()) chunks.push({ type: "text-end", id });
  return chunks;
}

/**
 * The chunks that close everything, innermost first. `awaitsConsent` leaves calls open that await
 * consent, `awaitsClient` those that the client answers.
 */
export function closeParts(state: ChunkState, { awaitsConsent = false, awaitsClient = false } = {}): TurnChunk[] {
  const chunks = closeTexts(state);
  for (const [toolCallId, { dynamic, state: callState, request }] of state.calls) {
    if (callState === "answered") continue;
    const waits = request && request.approved === undefined;
    if ((waits && awaitsConsent) || (awaitsClient && callState === "called" && !request)) continue;
    if (waits)
      chunks.push({
        type: "tool-approval-response",
        approvalId: request.id,
        approved: false,
        reason: unfinishedTool,
      });
    if (request && !request.approved) chunks.push({ type: "tool-output-denied", toolCallId });
    else
      chunks.push({
        type: "tool-output-error",
        toolCallId,
        errorText: unfinishedTool,
        ...(dynamic ? { dynamic } : {}),
      });
  }
  if (state.stepOpen) chunks.push({ type: "finish-step" });
  for (const [id, data] of state.statuses)
    if (data.state === "active") chunks.push({ type: "data-status", id, data: { ...data, state: "done" } });
  return chunks;
}

/** The outcome of such a call is unknown. */
export const unfinishedTool = "The answer ended before this tool did.";

export const interruptedError: TurnError = {
  code: "interrupted",
  message: "The answer was interrupted. What had arrived is kept; you can continue the answer or ask for it again.",
  retryable: true,
};

export type Ending = {
  turnId: string;
  status: FinalState;
  /** Required for `failed` and `interrupted`. */
  error?: TurnError;
  /** What is known so far: usage, timing … */
  metadata?: Partial<MessageMetadata>;
};

/** The last chunks of a turn, the terminal last. */
export function endTurn(state: ChunkState, { turnId, status, error, metadata }: Ending): TurnChunk[] {
  const failure = error ? { error } : {};
  // A request can only be answered after an answer that ended normally.
  const isComplete = status === "complete";
  // The server's own tools have answered by now.
  const chunks = closeParts(state, {
    awaitsConsent: isComplete,
    awaitsClient: isComplete && metadata?.finishReason === "tool-calls",
  });
  chunks.push(
    { type: "message-metadata", messageMetadata: { ...metadata, status, ...failure } as MessageMetadata },
    { type: "data-turn", data: { turnId, status, ...failure }, transient: true },
  );
  if (status === "complete") chunks.push({ type: "finish" });
  else if (status === "stopped") chunks.push({ type: "abort", reason: "stopped" });
  else chunks.push({ type: "error", errorText: (error ?? interruptedError).message });
  return chunks;
}
