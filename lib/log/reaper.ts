// Ends turns whose owner died: a running turn with an expired lease is claimed by a guarded update, its log is folded,
// closed and finished, all in one transaction. Every process does this; the database decides who does it for which turn.

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
/** Turns pruned in one statement. */
const pruneSize = 500;
/** What owners get to renew their leases once the database is back: some of their retries. */
const graceMs = 3_000;

/** Starts reaping and pruning. `isMine`: turns this process writes, which are late but not dead. Returns how to stop it. */
export function startReaper(leaseMs: number, isMine: (turnId: string) => boolean): () => void {
  const rounds = [
    // Often enough that no outage in which leases run out passes between two rounds.
    repeat(Math.min(reapEveryMs, leaseMs / 3), reaper(leaseMs, isMine)),
    repeat(pruneEveryMs, async () => {
      while ((await pruneChunks(keepChunksMs, pruneSize)) === pruneSize);
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

function reaper(leaseMs: number, isMine: (turnId: string) => boolean): () => Promise<void> {
  let quietUntilMs = 0;
  return async () => {
    const startMs = performance.now();
    let answered = false;
    try {
      const expired = await listExpiredTurns(batchSize);
      // An outage shorter than this costs an owner one renewal, which it can spare.
      answered = performance.now() - startMs < leaseMs / 3;
      if (!answered || startMs < quietUntilMs) return;
      for (const turnId of expired) if (!isMine(turnId)) await sealOrReport(turnId, leaseMs);
    } finally {
      // While the database was away nobody could renew: an expired lease says nothing about its owner.
      if (!answered) quietUntilMs = performance.now() + graceMs;
    }
  };
}

/** One turn that cannot be ended must not keep the others from it. */
async function sealOrReport(turnId: string, leaseMs: number): Promise<void> {
  try {
    await sealExpired(turnId, leaseMs);
  } catch (error) {
    if (isDatabaseAway(error)) throw error;
    logger.error({ err: error, turnId }, "turn could not be ended, will be repeated");
  }
}

/** Ends one expired turn: as stopped when somebody had asked for that, else as interrupted. What was stored is kept. */
export async function sealExpired(turnId: string, leaseMs: number): Promise<void> {
  await pool().sql.begin(async (sql) => {
    const turn = await claimExpiredTurn(sql, turnId);
    if (!turn) return;
    const stored = (await readAllChunks(sql, turnId)).map(({ json }) => JSON.parse(json) as TurnChunk);
    const open = new OpenParts();
    for (const chunk of stored) open.see(chunk);
    const added = [
      ...(stored.length === 0 ? opening(turn) : []),
      ...endTurn(
        open,
        turn.stopRequested ? { turnId, status: "stopped" } : { turnId, status: "interrupted", error: interruptedError },
      ),
    ];
    const all = [...stored, ...added];
    const message = await foldChunks(all, (error) => logger.error({ err: error, turnId }, "fold stopped early"));
    const row = {
      turnId,
      epoch: turn.epoch,
      lastSeq: turn.lastSeq + added.length,
      chunks: added.map((chunk, index) => ({ seq: turn.lastSeq + index + 1, json: JSON.stringify(chunk) })),
      final: finalRow(all, message),
    };
    await commitChunks(sql, [row], leaseMs);
    logger.warn(
      { turnId, stopRequested: turn.stopRequested, chunks: stored.length },
      "ended a turn whose owner is gone",
    );
  });
}

/** How every turn begins, for one whose owner died before it stored anything: its message must know where it belongs. */
function opening({ turnId, chatId, userMessageId, messageId, request, createdMs }: ClaimedTurn): TurnChunk[] {
  const { model } = request as { model: string };
  const createdAt = new Date(createdMs).toISOString();
  return [
    { type: "start", messageId, messageMetadata: { turnId, chatId, model, createdAt } },
    { type: "data-turn", data: { turnId, chatId, userMessageId, status: "running" }, transient: true },
  ];
}
