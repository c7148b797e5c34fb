// Stops a turn: a compare-and-set in the database, then a wait for the one terminal. The response
// reports the actual outcome: a stop that came too late is not reported as one (RELIABILITY I11,
// I12).
import { findLatestTurn, findTurn, type TurnRow } from "@/db/turns";
import { AppError } from "@/lib/errors";
import { turnLog } from "@/lib/log/turn-log";
import { logger } from "@/lib/logger";
import { requireChat } from "@/lib/services/chats/chats";
import type { TurnState } from "@/lib/turn/chunks";
import { requireTurn } from "./follow-turn";

export type Stopped = { turnId: string | null; status: TurnState | null };

/** Longer than a dead owner's lease plus the reaper's interval, at their defaults. */
const waitMs = 30_000;

/** Stops the chat's live turn; returns the latest turn's state if none is live. */
export async function stopChat(userId: string, chatId: string): Promise<Stopped> {
  await requireChat(userId, chatId);
  const turn = await findLatestTurn(userId, chatId);
  return turn ? stopTurnRow(turn) : { turnId: null, status: null };
}

export async function stopTurn(userId: string, turnId: string): Promise<Stopped> {
  return stopTurnRow(await requireTurn(userId, turnId));
}

/** For a client that left and cannot return. Does not wait for the end. */
export async function stopAfterDisconnect({ id, state }: TurnRow): Promise<void> {
  if (state !== "running") return;
  try {
    await turnLog().requestStop(id);
  } catch (error) {
    logger.warn({ err: error, turnId: id }, "the turn of a client that left could not be stopped, and continues");
  }
}

/** Throws unavailable if the turn has not ended within 30 s. */
export async function stopTurnRow(turn: TurnRow): Promise<Stopped> {
  if (turn.state !== "running") return { turnId: turn.id, status: turn.state };
  await turnLog().requestStop(turn.id);
  const reader = turnLog().read(turn.id, turn.lastSeq);
  const timeout = setTimeout(() => reader.close(), waitMs);
  while (await reader.next());
  clearTimeout(timeout);
  const ended = await findTurn(turn.userId, turn.id);
  if (ended && ended.state !== "running") return { turnId: turn.id, status: ended.state };
  if (!ended) return { turnId: turn.id, status: "stopped" };
  throw new AppError("unavailable", "The stop is recorded and will take effect; the answer has not ended yet.", {
    retryAfter: 2,
  });
}
