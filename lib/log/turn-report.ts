// One log line per ended turn, whether ended by its owner or the reaper: user, model, usage,
// duration and outcome. Never any text of question or answer.
import { logger } from "@/lib/logger";
import type { MessageMetadata } from "@/lib/turn/chunks";

type Ended = {
  turnId: string;
  userId: string;
  /** Catalogue model id. */
  model: string;
  /** Of the stored answer. */
  metadata: Partial<MessageMetadata>;
  durationMs: number;
  /** Ended by another server, because its owner is gone. */
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
