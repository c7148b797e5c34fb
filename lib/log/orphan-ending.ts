// Ends a turn whose owner died: its log is closed, folded and stored as its message. A turn that
// breaks this, or crashes the server that tries, is not retried forever: after repeated crashes
// less of it is kept, in the end only its log.

import type { AppendRow, ClaimedTurn } from "@/db/log";
import { logger } from "@/lib/logger";
import { ChunkState } from "@/lib/turn/chunk-state";
import type { ChatMessage, FinalState, LoggedChunk, MessageMetadata, TurnChunk } from "@/lib/turn/chunks";
import { endTurn, interruptedError } from "@/lib/turn/ending";
import { foldChunks } from "@/lib/turn/fold";
import { concatText, opening } from "@/lib/turn/log-prefix";
import { finalRow } from "./writer";

/**
 * How much of the log becomes the message: everything, only its text, or nothing. With `log` the
 * message stays as it was and the log is not even read.
 */
export type KeptContent = "all" | "text" | "log";

/**
 * Crashes after which less is kept. Up to three come from running the turn; the rest are attempts
 * to end it.
 */
const maxCrashes = { all: 5, text: 7 };

export function keptContentOf({ crashes }: ClaimedTurn): KeptContent {
  if (crashes <= maxCrashes.all) return "all";
  return crashes <= maxCrashes.text ? "text" : "log";
}

/** In characters, for a message kept as text only: no index or limit may refuse it. */
const maxTextLength = 100_000;

export type OrphanEnding = { turn: ClaimedTurn; row: AppendRow; metadata: Partial<MessageMetadata> };

/**
 * Ends as stopped if that was requested, else as interrupted. Throws if the log does not parse as
 * chunks.
 */
export async function endOrphan(turn: ClaimedTurn, logged: LoggedChunk[], kept: KeptContent): Promise<OrphanEnding> {
  const { turnId, epoch, lastSeq, stopRequested } = turn;
  const status: FinalState = stopRequested ? "stopped" : "interrupted";
  const error = stopRequested ? undefined : interruptedError;
  const stored = logged.map(({ chunk }) => chunk);
  const added = [
    ...(lastSeq === 0 ? openingOf(turn) : []),
    ...endTurn(new ChunkState(stored), error ? { turnId, status, error } : { turnId, status }),
  ];
  const row: AppendRow = {
    turnId,
    epoch,
    lastSeq: lastSeq + added.length,
    chunks: added.map((chunk, index) => ({ seq: lastSeq + index + 1, json: JSON.stringify(chunk) })),
  };
  if (kept === "log") {
    // The answer was not read: only the prompt's tokens are counted.
    const usage = { tokens: null, requests: 1, written: 0 };
    const unwritten = { parts: null, metadata: null, text: null };
    row.final = { state: status, error: error ? JSON.stringify(error) : null, ...unwritten, usage };
    return { turn, row, metadata: { status, ...(error && { error }) } };
  }
  const all = [...stored, ...added];
  const message = kept === "all" ? await fold(all, turnId) : textOnly(all);
  row.final = finalRow(all, message);
  return { turn, row, metadata: message.metadata ?? {} };
}

function fold(chunks: TurnChunk[], turnId: string): Promise<ChatMessage> {
  return foldChunks(chunks, (error) => logger.error({ err: error, turnId }, "fold stopped early"));
}

function textOnly(chunks: TurnChunk[]): ChatMessage {
  let metadata = {} as MessageMetadata;
  for (const chunk of chunks)
    if ("messageMetadata" in chunk) metadata = { ...metadata, ...(chunk.messageMetadata as MessageMetadata) };
  // Do not end on half a surrogate pair.
  const text = concatText(chunks)
    .slice(0, maxTextLength)
    .replace(/[\ud800-\udbff]$/, "");
  return { id: "", role: "assistant", metadata, parts: text ? [{ type: "text", text, state: "done" }] : [] };
}

/**
 * The opening, for a turn whose owner died before storing any: its message must know where it
 * belongs.
 */
function openingOf({ request, createdMs, ...turn }: ClaimedTurn): TurnChunk[] {
  const { model: modelId } = request as { model: string };
  return opening({ ...turn, modelId, createdAt: new Date(createdMs).toISOString() });
}
