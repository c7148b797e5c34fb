// Turns whose owner died: a running turn with an expired lease is claimed by a guarded update. Where nothing of its answer is
// stored it is run again, by whoever the log was told of; else its log is folded, closed and finished in the same transaction.
// Every process does this; the database decides who does it for which turn.

import type { TransactionSql } from "postgres";
import { pool } from "@/db/client";
import {
  type ClaimedTurn,
  claimExpiredTurn,
  commitChunks,
  listExpiredTurns,
  pruneChunks,
  readAllChunks,
} from "@/db/log";
import { isDatabaseAway } from "@/lib/database-away";
import { logger } from "@/lib/logger";
import { repeat } from "@/lib/repeat";
import { isUnanswered, opening } from "@/lib/turn/begun";
import type { LoggedChunk, TurnChunk } from "@/lib/turn/chunks";
import { endTurn, interruptedError, OpenParts } from "@/lib/turn/ending";
import { foldChunks } from "@/lib/turn/fold";
import type { Orphan } from "./contract";
import { finalRow } from "./writer";

/** With the lease this is the "lease + 2 s" within which every reader learns that an owner died. */
const reapEveryMs = 1_000;
const pruneEveryMs = 60_000;
/** Long enough for a client that slept to resume from its cursor. */
const keepChunksMs = 3_600_000;
/** At most this many turns a round, so that a round is short. */
const batchSize = 50;
/** Turns pruned in one statement. */
const pruneSize = 500;
/** What owners get to renew their leases once the database is back: some of their retries. */
const graceMs = 3_000;
/** So many owners may die of one turn, as its answer might be what kills them. Each had its own epoch, from 1. */
const maxRuns = 3;

type Run = (orphan: Orphan) => void;

/**
 * Starts reaping and pruning. `isMine`: turns this process writes, which are late but not dead. `runner`: who runs a turn of
 * which nothing is answered; null while nobody does. Returns how to stop it.
 */
export function startReaper(
  leaseMs: number,
  isMine: (turnId: string) => boolean,
  runner: () => Run | null,
): () => void {
  const rounds = [
    // Often enough that no outage in which leases run out passes between two rounds.
    repeat(Math.min(reapEveryMs, leaseMs / 3), reaper(leaseMs, isMine, runner)),
    repeat(pruneEveryMs, async () => {
      while ((await pruneChunks(keepChunksMs, pruneSize)) === pruneSize);
    }),
  ];
  return () => {
    for (const stop of rounds) stop();
  };
}

function reaper(leaseMs: number, isMine: (turnId: string) => boolean, runner: () => Run | null): () => Promise<void> {
  let quietUntilMs = 0;
  return async () => {
    const startMs = performance.now();
    let answered = false;
    try {
      const expired = await listExpiredTurns(batchSize);
      // An outage shorter than this costs an owner one renewal, which it can spare.
      answered = performance.now() - startMs < leaseMs / 3;
      if (!answered || startMs < quietUntilMs) return;
      for (const turnId of expired) if (!isMine(turnId)) await takeOverOrReport(turnId, leaseMs, runner());
    } finally {
      // While the database was away nobody could renew: an expired lease says nothing about its owner.
      if (!answered) quietUntilMs = performance.now() + graceMs;
    }
  };
}

/** One turn that cannot be ended must not keep the others from it. */
async function takeOverOrReport(turnId: string, leaseMs: number, run: Run | null): Promise<void> {
  try {
    await takeOver(turnId, leaseMs, run);
  } catch (error) {
    if (isDatabaseAway(error)) throw error;
    logger.error({ err: error, turnId }, "turn could not be ended, will be repeated");
  }
}

/** Runs an expired turn again or ends it, and does nothing when its owner or another process was faster. */
async function takeOver(turnId: string, leaseMs: number, run: Run | null): Promise<void> {
  const orphan = await pool().sql.begin(async (sql) => {
    const turn = await claimExpiredTurn(sql, turnId, leaseMs);
    if (!turn) return null;
    const rows = await readAllChunks(sql, turnId);
    const stored = rows.map(({ seq, json }) => ({ seq, json, chunk: JSON.parse(json) as TurnChunk }));
    if (run && mayRun(turn, stored)) return { ...turn, createdAt: new Date(turn.createdMs), stored };
    await seal(sql, turn, stored, leaseMs);
    return null;
  });
  if (!orphan || !run) return;
  logger.warn({ turnId, epoch: orphan.epoch }, "running a turn whose owner is gone and that nobody answered");
  run(orphan);
}

/** A log may begin with what is kept of another answer, which says nothing about this one. */
function mayRun({ epoch, stopRequested, request }: ClaimedTurn, stored: LoggedChunk[]): boolean {
  const { begunSeq = 0 } = request as { begunSeq?: number };
  const own = stored.filter(({ seq }) => seq > begunSeq).map(({ chunk }) => chunk);
  return epoch <= maxRuns && !stopRequested && isUnanswered(own);
}

/** Ends a claimed turn: as stopped when somebody had asked for that, else as interrupted. What was stored is kept. */
async function seal(sql: TransactionSql, turn: ClaimedTurn, logged: LoggedChunk[], leaseMs: number): Promise<void> {
  const { turnId, epoch, lastSeq, stopRequested } = turn;
  const stored = logged.map(({ chunk }) => chunk);
  const open = new OpenParts();
  for (const chunk of stored) open.see(chunk);
  const added = [
    ...(stored.length === 0 ? openingOf(turn) : []),
    ...endTurn(
      open,
      stopRequested ? { turnId, status: "stopped" } : { turnId, status: "interrupted", error: interruptedError },
    ),
  ];
  const all = [...stored, ...added];
  const message = await foldChunks(all, (error) => logger.error({ err: error, turnId }, "fold stopped early"));
  const row = {
    turnId,
    epoch,
    lastSeq: lastSeq + added.length,
    chunks: added.map((chunk, index) => ({ seq: lastSeq + index + 1, json: JSON.stringify(chunk) })),
    final: finalRow(all, message),
  };
  await commitChunks(sql, [row], leaseMs);
  logger.warn({ turnId, stopRequested, chunks: stored.length }, "ended a turn whose owner is gone");
}

/** How every turn begins, for one whose owner died before it stored anything: its message must know where it belongs. */
function openingOf({ request, createdMs, ...turn }: ClaimedTurn): TurnChunk[] {
  const { model: modelId } = request as { model: string };
  return opening({ ...turn, modelId, createdAt: new Date(createdMs).toISOString() });
}
