// What ends a turn whose owner died: its log is closed, folded, and stored as its message. A turn that breaks this, or the
// server that does it, is not tried for ever: from crash to crash less of it is kept, at last only its log.

import type { AppendRow, ClaimedTurn } from "@/db/log";
import { logger } from "@/lib/logger";
import { Begun, opening } from "@/lib/turn/begun";
import type { ChatMessage, FinalState, LoggedChunk, MessageMetadata, TurnChunk } from "@/lib/turn/chunks";
import { endTurn, interruptedError, OpenParts } from "@/lib/turn/ending";
import { foldChunks } from "@/lib/turn/fold";
import { finalRow } from "./writer";

/**
 * How much becomes the message: all of it, its text alone, or nothing, so that the message stays as it was and the log is not
 * even read.
 */
export type Kept = "all" | "text" | "log";

/** Crashes after which less is kept. Three may be of the run itself; the others are tries to end it. */
const maxCrashes = { all: 5, text: 7 };

export function keptOf({ crashes }: ClaimedTurn): Kept {
  if (crashes <= maxCrashes.all) return "all";
  return crashes <= maxCrashes.text ? "text" : "log";
}

/** Of a message that is kept as text alone: no index or limit may be what refuses it. */
const maxTextLength = 100_000;

export type OrphanEnding = { turn: ClaimedTurn; row: AppendRow; metadata: Partial<MessageMetadata> };

/** As stopped when somebody had asked for that, else as interrupted. Throws when the log cannot be read as chunks. */
export async function endOrphan(turn: ClaimedTurn, logged: LoggedChunk[], kept: Kept): Promise<OrphanEnding> {
  const { turnId, epoch, lastSeq, stopRequested } = turn;
  const status: FinalState = stopRequested ? "stopped" : "interrupted";
  const error = stopRequested ? undefined : interruptedError;
  const stored = logged.map(({ chunk }) => chunk);
  const open = new OpenParts();
  for (const chunk of stored) open.see(chunk);
  const added = [
    ...(lastSeq === 0 ? openingOf(turn) : []),
    ...endTurn(open, error ? { turnId, status, error } : { turnId, status }),
  ];
  const row: AppendRow = {
    turnId,
    epoch,
    lastSeq: lastSeq + added.length,
    chunks: added.map((chunk, index) => ({ seq: lastSeq + index + 1, json: JSON.stringify(chunk) })),
  };
  if (kept === "log") {
    // Nothing of the answer was read: the prompt counts, its words do not.
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
  // Half of a surrogate pair is no character.
  const text = new Begun(chunks).text.slice(0, maxTextLength).replace(/[\ud800-\udbff]$/, "");
  return { id: "", role: "assistant", metadata, parts: text ? [{ type: "text", text, state: "done" }] : [] };
}

/** How every turn begins, for one whose owner died before it stored anything: its message must know where it belongs. */
function openingOf({ request, createdMs, ...turn }: ClaimedTurn): TurnChunk[] {
  const { model: modelId } = request as { model: string };
  return opening({ ...turn, modelId, createdAt: new Date(createdMs).toISOString() });
}
