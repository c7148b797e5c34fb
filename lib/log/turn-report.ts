// One log line for every ended turn, ended by its owner or by the reaper: whose it was, which model, what it took and how it ended.
// Never a word of question or answer.
import { logger } from "@/lib/logger";
import type { MessageMetadata } from "@/lib/turn/chunks";

type Ended = {
  turnId: string;
  userId: string;
  /** The model's id in the catalogue. */
  model: string;
  /** Of the answer as it is stored. */
  metadata: Partial<MessageMetadata>;
  durationMs: number;
  /** By a server that did not write it: its owner is gone. */
  takenOver?: boolean;
};

export function reportTurn({ turnId, userId, model, metadata, durationMs, takenOver }: Ended): void {
  const { status, usage, finishReason, error } = metadata;
  logger.info(
    {
      turnId,
      userId,
      model,
      status,
      ...(error && { error: error.code }),
      ...(finishReason && { finishReason }),
      ...(usage && { inputTokens: usage.inputTokens, outputTokens: usage.outputTokens }),
      ...(usage?.costUsd !== undefined && { costUsd: usage.costUsd }),
      durationMs: Math.round(durationMs),
      ...(takenOver && { takenOver }),
    },
    "turn ended",
  );
}
