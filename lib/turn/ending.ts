// How every turn ends: open parts are closed, then metadata, the final status and one terminal
// (docs/protocol.md §1 and §4). Used by the run, and by the log for a turn whose owner died. Pure.
import type { FinalState, MessageMetadata, StatusData, TurnChunk, TurnError } from "./chunks";

type OpenTool = { dynamic: boolean; called: boolean; request?: { id: string; approved?: boolean } };

/** Tracks open parts of a turn chunk by chunk. */
export class OpenParts {
  #texts = new Set<string>();
  #reasonings = new Set<string>();
  #tools = new Map<string, OpenTool>();
  #statuses = new Map<string, StatusData>();
  #stepOpen = false;

  apply(chunk: TurnChunk): void {
    switch (chunk.type) {
      case "text-start":
        this.#texts.add(chunk.id);
        break;
      case "text-end":
        this.#texts.delete(chunk.id);
        break;
      case "reasoning-start":
        this.#reasonings.add(chunk.id);
        break;
      case "reasoning-end":
        this.#reasonings.delete(chunk.id);
        break;
      case "tool-input-start":
      case "tool-input-available":
        this.#tools.set(chunk.toolCallId, {
          dynamic: chunk.dynamic ?? false,
          called: chunk.type === "tool-input-available",
        });
        break;
      case "tool-approval-request": {
        const tool = this.#tools.get(chunk.toolCallId);
        if (tool) tool.request = { id: chunk.approvalId };
        break;
      }
      case "tool-approval-response":
        for (const { request } of this.#tools.values())
          if (request?.id === chunk.approvalId) request.approved = chunk.approved;
        break;
      case "tool-input-error":
      case "tool-output-available":
      case "tool-output-error":
      case "tool-output-denied":
        this.#tools.delete(chunk.toolCallId);
        break;
      case "start-step":
        this.#stepOpen = true;
        break;
      case "finish-step":
        this.#stepOpen = false;
        break;
      case "data-status":
        if (chunk.data.state === "active") this.#statuses.set(chunk.id ?? chunk.data.stage, chunk.data);
        else this.#statuses.delete(chunk.id ?? chunk.data.stage);
        break;
    }
  }

  /** The chunks that close open texts and reasoning, which must close inside their step. */
  closeTexts(): TurnChunk[] {
    const chunks: TurnChunk[] = [];
    for (const id of this.#reasonings) chunks.push({ type: "reasoning-end", id });
    for (const id of this.#texts) chunks.push({ type: "text-end", id });
    return chunks;
  }

  /**
   * The chunks that close everything, innermost first. `awaitsConsent` leaves calls open that await
   * consent, `awaitsClient` those that the client answers.
   */
  close({ awaitsConsent = false, awaitsClient = false } = {}): TurnChunk[] {
    const chunks = this.closeTexts();
    for (const [toolCallId, { dynamic, called, request }] of this.#tools) {
      const waits = request && request.approved === undefined;
      if ((waits && awaitsConsent) || (awaitsClient && called && !request)) continue;
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
    if (this.#stepOpen) chunks.push({ type: "finish-step" });
    for (const [id, data] of this.#statuses) chunks.push({ type: "data-status", id, data: { ...data, state: "done" } });
    return chunks;
  }
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
export function endTurn(open: OpenParts, { turnId, status, error, metadata }: Ending): TurnChunk[] {
  const failure = error ? { error } : {};
  // A request can only be answered after an answer that ended normally.
  const isComplete = status === "complete";
  // The server's own tools have answered by now.
  const chunks = open.close({
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
