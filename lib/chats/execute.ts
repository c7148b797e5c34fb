// Carries a turn out: hands the pure run its ports and the log its chunks. Belongs to the server, not to a request.
import { listMessages } from "@/db/messages";
import type { TurnRow } from "@/db/turns";
import { isDatabaseAway } from "@/lib/database-away";
import { env } from "@/lib/env";
import { turnLog } from "@/lib/log/turn-log";
import { logger } from "@/lib/logger";
import { requireModel } from "@/lib/models/catalogue";
import { classifyFailure } from "@/lib/models/failure";
import { ground } from "@/lib/retrieval/ground";
import { countDocuments, search } from "@/lib/retrieval/search";
import { toolsFor } from "@/lib/tools/registry";
import type { ChatMessage, TurnChunk, TurnError } from "@/lib/turn/chunks";
import { endTurn, interruptedError, OpenParts } from "@/lib/turn/ending";
import { textOf } from "@/lib/turn/fold";
import { type RunPorts, runTurn, startChunk } from "@/lib/turn/run";
import { branchOf } from "./branch";
import { clientTools } from "./client-tools";
import type { TurnSettings } from "./turn-request";

/** Runs the turn to its terminal, or until another process has taken it over. Never rejects. */
export async function execute(turn: TurnRow): Promise<void> {
  const writer = turnLog().open(turn.id, turn.epoch);
  const open = new OpenParts();
  let begun = false;
  try {
    for await (const chunk of chunksOf(turn, writer.signal)) {
      begun = true;
      open.see(chunk);
      const room = writer.append(chunk);
      if (room) await room;
    }
  } catch (error) {
    // A bug in the run, or something before it that failed: the turn still needs its beginning and its one terminal.
    logger.error({ err: error, turnId: turn.id }, "turn failed");
    if (!begun) await writer.append(startChunk({ ...identityOf(turn), modelId: optionsOf(turn).model }));
    const failure: TurnError = isDatabaseAway(error)
      ? { ...interruptedError, code: "storage" }
      : classifyFailure(error);
    const ending = endTurn(open, { turnId: turn.id, status: "failed", error: failure });
    for (const chunk of ending) await writer.append(chunk);
  }
  await writer.ended;
}

function optionsOf(turn: TurnRow): TurnSettings {
  return turn.request as TurnSettings;
}

function identityOf(turn: TurnRow) {
  const { id: turnId, chatId, messageId, userMessageId } = turn;
  return { turnId, chatId, messageId, userMessageId, createdAt: turn.createdAt.toISOString() };
}

async function* chunksOf(turn: TurnRow, signal: AbortSignal): AsyncGenerator<TurnChunk> {
  const { userId } = turn;
  const options = optionsOf(turn);
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
      ...identityOf(turn),
      modelId,
      model,
      history,
      question: textOf(history.findLast(({ role }) => role === "user") ?? { parts: [] }),
      searchMode: options.searchMode,
      tools:
        env().TOOLS === "on"
          ? toolsFor(userId, (error) => logger.error({ err: error, turnId: turn.id }, "tool failed"))
          : undefined,
      // A client's own tools take the place of these: it is asked to run those, and knows nothing of ours.
      ...promptOf(options),
    },
    ports,
    signal,
  );
}

/** How the client wants the model to be called, where its dialect lets it say so. */
function promptOf({ prompt }: TurnSettings) {
  if (!prompt) return {};
  const { instructions, settings, tools, toolChoice } = prompt;
  return {
    instructions,
    settings: { ...settings, ...(tools && { toolChoice }) },
    ...(tools && { tools: clientTools(tools) }),
  };
}
