// Turns whose owner died: running turns with an expired lease are claimed, many at once, by a guarded update. Where nothing of
// its answer is stored a turn is run again, by whoever the log was told of; else its log is folded, closed and finished in the
// same transaction. Every process does this; the database decides who does it for which turn.

import { setTimeout as delay } from "node:timers/promises";
import type { TransactionSql } from "postgres";
import { pool } from "@/db/client";
import {
  type AppendRow,
  type ClaimedTurn,
  claimExpiredTurns,
  commitChunks,
  listExpiredTurns,
  pruneChunks,
  readAllChunks,
} from "@/db/log";
import { pruneUsage } from "@/db/usage";
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
/** Ids looked at in one go: a whole server's turns in a few. */
const listSize = 500;
/** Turns in one transaction, so that it is short and several servers share the work. */
const batchSize = 50;
/** Chunks read at once, but always those of a whole turn: some megabytes of ordinary ones. */
const chunksAtOnce = 2_000;
/** Between two batches with turns to run: at most 500 begin a second here, and other servers get their share. */
const runPauseMs = 100;
/** Longer than any budget's day, for an operator who looks back at a month. */
const keepUsageDays = 31;
/** Turns pruned in one statement. */
const pruneSize = 500;
/** What owners get to renew their leases once the database is back: some of their retries. */
const graceMs = 3_000;
/** Servers that may crash while running one turn, as its answer might be what kills them. */
const maxCrashes = 3;

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
  const reaper = new Reaper(leaseMs, isMine, runner);
  const rounds = [
    // Often enough that no outage in which leases run out passes between two rounds.
    repeat(Math.min(reapEveryMs, leaseMs / 3), () => reaper.round()),
    repeat(pruneEveryMs, async () => {
      while ((await pruneChunks(keepChunksMs, pruneSize)) > 0);
      await pruneUsage(keepUsageDays);
    }),
  ];
  return () => {
    reaper.stopped = true;
    for (const stop of rounds) stop();
  };
}

class Reaper {
  stopped = false;
  readonly #leaseMs: number;
  readonly #isMine: (turnId: string) => boolean;
  readonly #runner: () => Run | null;
  #quietUntilMs = 0;

  constructor(leaseMs: number, isMine: (turnId: string) => boolean, runner: () => Run | null) {
    this.#leaseMs = leaseMs;
    this.#isMine = isMine;
    this.#runner = runner;
  }

  /** Takes over all there are: a server that dies may leave a thousand. */
  async round(): Promise<void> {
    const failed = new Set<string>();
    for (let more = true; more && !this.stopped; ) {
      const expired = await this.#listExpired();
      const dead = expired.filter((turnId) => !this.#isMine(turnId) && !failed.has(turnId));
      // Of a list that was not full, what is left is somebody else's or will be tried again in the next round.
      more = (await this.#takeOverAll(dead, failed)) > 0 && expired.length === listSize;
    }
  }

  /** None while it is too early to say that an owner is dead. */
  async #listExpired(): Promise<string[]> {
    const startMs = performance.now();
    let answered = false;
    try {
      const expired = await listExpiredTurns(listSize);
      // An outage shorter than this costs an owner one renewal, which it can spare.
      answered = performance.now() - startMs < this.#leaseMs / 3;
      return answered && startMs >= this.#quietUntilMs ? expired : [];
    } finally {
      // While the database was away nobody could renew: an expired lease says nothing about its owner.
      if (!answered) this.#quietUntilMs = performance.now() + graceMs;
    }
  }

  /** Returns how many were dealt with here; other processes take their part of the same list. `failed` gets the others. */
  async #takeOverAll(turnIds: string[], failed: Set<string>): Promise<number> {
    let done = 0;
    for (let full = turnIds.length > 0; full && !this.stopped; ) {
      const { claimed, orphans } = await this.#takeOverOrReport(
        turnIds.filter((turnId) => !failed.has(turnId)),
        batchSize,
        failed,
      );
      done += claimed;
      full = claimed === batchSize;
      if (full && orphans > 0) await delay(runPauseMs);
    }
    return done;
  }

  /** A turn that cannot be ended must not keep the others from it: those it shared a transaction with go one by one. */
  async #takeOverOrReport(turnIds: string[], limit: number, failed: Set<string>): Promise<Taken> {
    const claimed: string[] = [];
    try {
      return await this.#takeOver(turnIds, limit, claimed);
    } catch (error) {
      if (isDatabaseAway(error)) throw error;
      const [turnId] = claimed;
      if (limit > 1 && turnId !== undefined) {
        let orphans = 0;
        for (const alone of claimed) orphans += (await this.#takeOverOrReport([alone], 1, failed)).orphans;
        return { claimed: claimed.length, orphans };
      }
      if (turnId === undefined) throw error;
      logger.error({ err: error, turnId }, "turn could not be ended, will be repeated");
      failed.add(turnId);
      return { claimed: 0, orphans: 0 };
    }
  }

  /** Runs expired turns again or ends them, in one transaction. `claimed` gets those it took, also when that comes to nothing. */
  async #takeOver(turnIds: string[], limit: number, claimed: string[]): Promise<Taken> {
    const run = this.#runner();
    const orphans: Orphan[] = [];
    const sealed: SealedTurn[] = [];
    await pool().sql.begin(async (sql) => {
      const turns = await claimExpiredTurns(sql, turnIds, limit, this.#leaseMs);
      claimed.push(...turns.map(({ turnId }) => turnId));
      for (const group of groupsOf(turns)) {
        const stored = await readStored(sql, group);
        const ended: SealedTurn[] = [];
        for (const turn of group) {
          const logged = stored.get(turn.turnId) ?? [];
          if (run && mayRun(turn, logged))
            orphans.push({ ...turn, createdAt: new Date(turn.createdMs), stored: logged });
          else ended.push(await seal(turn, logged));
        }
        const rows = ended.map(({ row }) => row);
        if (rows.length > 0) await commitChunks(sql, rows, this.#leaseMs);
        sealed.push(...ended);
      }
    });
    for (const { turn, chunks } of sealed) {
      const { turnId, stopRequested } = turn;
      logger.warn({ turnId, stopRequested, chunks }, "ended a turn whose owner is gone");
    }
    for (const orphan of orphans) {
      const { turnId, epoch } = orphan;
      logger.warn({ turnId, epoch }, "running a turn whose owner is gone and that nobody answered");
      run?.(orphan);
    }
    return { claimed: claimed.length, orphans: orphans.length };
  }
}

type Taken = { claimed: number; orphans: number };

/** In order, each as many as may be read at once. */
function groupsOf(turns: ClaimedTurn[]): ClaimedTurn[][] {
  const groups: ClaimedTurn[][] = [];
  let chunks = Number.POSITIVE_INFINITY;
  for (const turn of turns) {
    if (chunks + turn.lastSeq > chunksAtOnce) {
      groups.push([]);
      chunks = 0;
    }
    chunks += turn.lastSeq;
    groups.at(-1)?.push(turn);
  }
  return groups;
}

async function readStored(sql: TransactionSql, turns: ClaimedTurn[]): Promise<Map<string, LoggedChunk[]>> {
  const rows = await readAllChunks(
    sql,
    turns.map(({ turnId }) => turnId),
  );
  const stored = new Map<string, LoggedChunk[]>();
  for (const { turnId, seq, json } of rows) {
    const logged = stored.get(turnId) ?? [];
    logged.push({ seq, json, chunk: JSON.parse(json) as TurnChunk });
    stored.set(turnId, logged);
  }
  return stored;
}

/** A log may begin with what is kept of another answer, which says nothing about this one. */
function mayRun({ crashes, stopRequested, request }: ClaimedTurn, stored: LoggedChunk[]): boolean {
  const { begunSeq = 0 } = request as { begunSeq?: number };
  const own = stored.filter(({ seq }) => seq > begunSeq).map(({ chunk }) => chunk);
  return crashes < maxCrashes && !stopRequested && isUnanswered(own);
}

type SealedTurn = { turn: ClaimedTurn; chunks: number; row: AppendRow };

/** What ends a claimed turn: as stopped when somebody had asked for that, else as interrupted. What was stored is kept. */
async function seal(turn: ClaimedTurn, logged: LoggedChunk[]): Promise<SealedTurn> {
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
  return { turn, chunks: stored.length, row };
}

/** How every turn begins, for one whose owner died before it stored anything: its message must know where it belongs. */
function openingOf({ request, createdMs, ...turn }: ClaimedTurn): TurnChunk[] {
  const { model: modelId } = request as { model: string };
  return opening({ ...turn, modelId, createdAt: new Date(createdMs).toISOString() });
}
