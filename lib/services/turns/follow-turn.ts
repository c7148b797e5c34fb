// Follows a turn: the one path for first view, reload, second tab, second server and foreign
// clients.
import { z } from "zod";
import { findMessage } from "@/db/messages";
import { findRunningDuplicate, findRunningTurn, findTurn, type TurnRow } from "@/db/turns";
import { AppError } from "@/lib/errors";
import type { LogReader } from "@/lib/log/durable-log";
import { turnLog } from "@/lib/log/turn-log";
import type { ChatMessage, LoggedChunk } from "@/lib/turn/chunks";
import type { Cursor } from "@/lib/turn/cursor";
import { unfoldMessage } from "@/lib/turn/fold";
import { compactChunks } from "@/lib/turn/merge";
import { fingerprintOf } from "./fingerprint";
import type { TurnRequest } from "./turn-request";

export type Turn = TurnRow;

/**
 * A reader of the turn's chunks after `afterSeq`. With `compact`, deltas already stored are joined.
 * Throws not_found for a cursor the log does not (or no longer) have.
 */
export async function followTurn(
  turn: TurnRow,
  cursor: Cursor | null,
  afterSeq: number,
  compact: boolean,
): Promise<LogReader> {
  if (cursor && cursor.seq > turn.lastSeq) throw new AppError("not_found", "There is no such position in this turn.");
  if (turn.prunedAt) return readStored(turn, cursor);
  const reader = turnLog().read(turn.id, afterSeq);
  return compact ? compactReader(reader, turn.lastSeq) : reader;
}

/** The server issues turn ids, so anything but a UUID is unknown. */
const uuid = z.uuid();

export async function requireTurn(userId: string, turnId: string): Promise<TurnRow> {
  const turn = uuid.safeParse(turnId).success ? await findTurn(userId, turnId) : null;
  if (!turn) throw new AppError("not_found", "There is no such turn.");
  return turn;
}

/**
 * The turn to follow in a chat: the cursor's, else the live one; null if there is none, or no such
 * chat.
 */
export async function findTurnToFollow(userId: string, chatId: string, cursor: Cursor | null): Promise<TurnRow | null> {
  if (cursor) {
    const turn = await requireTurn(userId, cursor.turnId);
    if (turn.chatId !== chatId) throw new AppError("not_found", "There is no such turn in this chat.");
    return turn;
  }
  return findRunningTurn(userId, chatId);
}

/**
 * The running turn of a request without chat and key: how a client that lost its stream gets the
 * whole answer.
 */
export function findUnattendedTurn(userId: string, request: TurnRequest): Promise<TurnRow | null> {
  return findRunningDuplicate(userId, fingerprintOf(request));
}

export function describeTurn(turn: TurnRow) {
  return {
    turnId: turn.id,
    chatId: turn.chatId,
    messageId: turn.messageId,
    userMessageId: turn.userMessageId,
    status: turn.state,
    ...(turn.error ? { error: turn.error } : {}),
    createdAt: turn.createdAt.toISOString(),
    endedAt: turn.endedAt?.toISOString() ?? null,
  };
}

function compactReader(reader: LogReader, storedSeq: number): LogReader {
  return {
    async next() {
      const batch = await reader.next();
      const first = batch?.[0];
      return batch && first && first.seq <= storedSeq ? compactChunks(batch) : batch;
    },
    close: () => reader.close(),
  };
}

/** The chunks are pruned, the message is not. Numbered so that the terminal keeps its seq. */
async function readStored(turn: TurnRow, cursor: Cursor | null): Promise<LogReader> {
  if (cursor && cursor.seq < turn.lastSeq)
    throw new AppError(
      "not_found",
      "The stream of this turn has expired. Its message is kept: read the chat's messages.",
    );
  const row = await findMessage(turn.userId, turn.messageId);
  if (!row) throw new AppError("not_found", "There is no such turn.");
  const chunks = unfoldMessage({ id: row.id, role: row.role, parts: row.parts, metadata: row.metadata } as ChatMessage);
  const offset = turn.lastSeq - chunks.length;
  let batch: LoggedChunk[] | null = cursor
    ? []
    : chunks.map((chunk, index) => ({ seq: Math.max(1, offset + index + 1), chunk, json: JSON.stringify(chunk) }));
  return {
    async next() {
      const pending = batch;
      batch = null;
      return pending?.length ? pending : null;
    },
    close() {
      batch = null;
    },
  };
}
