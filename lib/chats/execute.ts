// Carries a turn out: hands the pure run its ports and the log its chunks. Belongs to the server, not to a request.
import { listMessages } from "@/db/messages";
import type { TurnRow } from "@/db/turns";
import { turnLog } from "@/lib/log/turn-log";
import { logger } from "@/lib/logger";
import { requireModel } from "@/lib/models/catalogue";
import { classifyFailure } from "@/lib/models/failure";
import { ground } from "@/lib/retrieval/ground";
import { countDocuments, search } from "@/lib/retrieval/search";
import type { ChatMessage, SearchMode, TurnChunk } from "@/lib/turn/chunks";
import { endTurn, OpenParts } from "@/lib/turn/ending";
import { textOf } from "@/lib/turn/fold";
import { type RunPorts, runTurn } from "@/lib/turn/run";
import { branchOf } from "./branch";

type Options = { model: string; searchMode: SearchMode; documentIds?: string[] };

/** Runs the turn to its terminal, or until another process has taken it over. Never rejects. */
export async function execute(turn: TurnRow): Promise<void> {
  const writer = turnLog().open(turn.id, turn.epoch);
  try {
    for await (const chunk of chunksOf(turn, writer.signal)) {
      const room = writer.append(chunk);
      if (room) await room;
    }
  } catch (error) {
    // A bug, in the run or before it: the turn still needs its one terminal.
    logger.error({ err: error, turnId: turn.id }, "turn failed");
    const ending = endTurn(new OpenParts(), { turnId: turn.id, status: "failed", error: classifyFailure(error) });
    for (const chunk of ending) await writer.append(chunk);
  }
  await writer.ended;
}

async function* chunksOf(turn: TurnRow, signal: AbortSignal): AsyncGenerator<TurnChunk> {
  const { userId } = turn;
  const options = turn.request as Options;
  const documentIds = options.searchMode === "selected" ? (options.documentIds ?? []) : undefined;
  const { id: modelId, model } = requireModel(options.model);
  const rows = branchOf(await listMessages(userId, turn.chatId), turn.userMessageId);
  const history = rows.map((row) => ({ id: row.id, role: row.role, parts: row.parts }) as ChatMessage);
  const ports: RunPorts = {
    nowMs: () => performance.now(),
    countDocuments: () => countDocuments(userId, documentIds),
    search: (question) => search(userId, question, documentIds ? { documentIds } : {}),
    classify: classifyFailure,
    ground,
    report: (error) => logger.warn({ err: error, turnId: turn.id, model: modelId }, "turn failed"),
  };
  yield* runTurn(
    {
      turnId: turn.id,
      chatId: turn.chatId,
      messageId: turn.messageId,
      userMessageId: turn.userMessageId,
      modelId,
      model,
      createdAt: turn.createdAt.toISOString(),
      history,
      question: textOf(history.at(-1) ?? { parts: [] }),
      searchMode: options.searchMode,
    },
    ports,
    signal,
  );
}
