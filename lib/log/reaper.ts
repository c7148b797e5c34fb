// Ends turns whose owner died: a running turn with an expired lease is claimed by a guarded update, its log is folded,
// closed and finished, all in one transaction. Every process does this; the database decides who does it for which turn.

import { pool } from "@/db/client";
import { claimExpiredTurn, commitChunks, listExpiredTurns, pruneChunks, readAllChunks } from "@/db/log";
import { isDatabaseAway } from "@/lib/database-away";
import { logger } from "@/lib/logger";
import type { TurnChunk } from "@/lib/turn/chunks";
import { endTurn, interruptedError, OpenParts } from "@/lib/turn/ending";
import { foldChunks } from "@/lib/turn/fold";
import { finalRow } from "./writer";

/** With the lease this is the "lease + 2 s" within which every reader learns that an owner died. */
const reapEveryMs = 1_000;
const pruneEveryMs = 60_000;
/** Long enough for a client that slept to resume from its cursor. */
const keepChunksMs = 3_600_000;
/** At most this many turns a round, so that a round is short. */
const batchSize = 50;

/** Starts reaping and pruning. `isMine`: turns this process writes, which are late but not dead. Returns how to stop it. */
export function startReaper(leaseMs: number, isMine: (turnId: string) => boolean): () => void {
  const rounds = [
    repeat(reapEveryMs, () => reap(leaseMs, isMine)),
    repeat(pruneEveryMs, async () => {
      await pruneChunks(keepChunksMs, 500);
    }),
  ];
  return () => {
    for (const stop of rounds) stop();
  };
}

/** Runs `work` again and again, never twice at once. */
function repeat(everyMs: number, work: () => Promise<void>): () => void {
  let timer: NodeJS.Timeout | null = null;
  let stopped = false;
  const round = async () => {
    try {
      await work();
    } catch (error) {
      if (!isDatabaseAway(error)) logger.error({ err: error }, "background work failed, will be repeated");
    }
    if (!stopped) timer = setTimeout(round, everyMs).unref();
  };
  timer = setTimeout(round, everyMs).unref();
  return () => {
    stopped = true;
    if (timer) clearTimeout(timer);
  };
}

async function reap(leaseMs: number, isMine: (turnId: string) => boolean): Promise<void> {
  for (const turnId of await listExpiredTurns(batchSize)) {
    if (!isMine(turnId)) await sealExpired(turnId, leaseMs);
  }
}

/** Ends one expired turn: as stopped when somebody had asked for that, else as interrupted. What was stored is kept. */
export async function sealExpired(turnId: string, leaseMs: number): Promise<void> {
  await pool().sql.begin(async (sql) => {
    const turn = await claimExpiredTurn(sql, turnId);
    if (!turn) return;
    const chunks = (await readAllChunks(sql, turnId)).map(({ json }) => JSON.parse(json) as TurnChunk);
    const open = new OpenParts();
    for (const chunk of chunks) open.see(chunk);
    const ending = endTurn(
      open,
      turn.stopRequested ? { turnId, status: "stopped" } : { turnId, status: "interrupted", error: interruptedError },
    );
    const all = [...chunks, ...ending];
    const message = await foldChunks(all, (error) => logger.error({ err: error, turnId }, "fold stopped early"));
    const row = {
      turnId,
      epoch: turn.epoch,
      lastSeq: turn.lastSeq + ending.length,
      chunks: ending.map((chunk, index) => ({ seq: turn.lastSeq + index + 1, json: JSON.stringify(chunk) })),
      final: finalRow(all, message),
    };
    await commitChunks(sql, [row], leaseMs);
    logger.warn(
      { turnId, stopRequested: turn.stopRequested, chunks: chunks.length },
      "ended a turn whose owner is gone",
    );
  });
}
