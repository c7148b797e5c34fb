// A whole answer: follows the turn like any reader to its terminal, then folds it.
import type { ClientStream } from "@/lib/client-streams";
import { AppError } from "@/lib/errors";
import { isTerminal, type TurnChunk } from "@/lib/turn/chunks";
import { foldChunks } from "@/lib/turn/fold";
import { pushJoined } from "@/lib/turn/merge";
import type { TurnAnswer } from "@/lib/turn/turn-context";
import { followTurn, type Turn } from "./follow-turn";
import { loadTurnContext } from "./load-turn-context";

/**
 * Waits for the turn to end. Closing the stream ends the wait, never the turn. Throws unavailable
 * if the server releases its readers first: retrying with the same key then finds the turn.
 */
export async function collectAnswer(turn: Turn, stream: Pick<ClientStream, "own">): Promise<TurnAnswer> {
  const context = await loadTurnContext(turn, "turn");
  const reader = stream.own(await followTurn(turn, null, 0, false));
  const chunks: TurnChunk[] = [];
  for (let batch = await reader.next(); batch; batch = await reader.next())
    for (const { chunk } of batch) pushJoined(chunks, chunk);
  const last = chunks.at(-1);
  if (!last || !isTerminal(last))
    throw new AppError("unavailable", "The server is restarting. The answer continues; ask for it again in a moment.", {
      retryAfter: 2,
    });
  const message = await foldChunks(chunks);
  return { context, message, metadata: message.metadata ?? {} };
}
