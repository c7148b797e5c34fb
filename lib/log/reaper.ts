// Takes over turns whose owner died. Running turns with an expired lease are claimed in batches by
// a guarded update. If none of the answer is stored, or its provider keeps it, the registered
// runner runs the turn again; otherwise its log is folded and closed (orphan-ending.ts) and stored
// by a second update guarded by the claim's epoch. The database decides who claims which turn.

import { setTimeout as delay } from "node:timers/promises";
import { pool } from "@/db/client";
import {
  type ClaimedTurn,
  claimExpiredTurns,
  commitChunks,
  listExpiredTurns,
  pruneChunks,
  readAllChunks,
  setMessageStatus,
} from "@/db/log";
import { pruneUsage } from "@/db/usage";
import { isDatabaseUnavailable } from "@/lib/database-unavailable";
import { logger } from "@/lib/logger";
import { repeat } from "@/lib/repeat";
import type { LoggedChunk, TurnChunk } from "@/lib/turn/chunks";
import { isUnanswered } from "@/lib/turn/log-prefix";
import { upstreamOf } from "@/lib/turn/upstream";
import type { Orphan } from "./durable-log";
import { endOrphan, keptContentOf, type OrphanEnding } from "./orphan-ending";
import { reportTurn } from "./turn-report";

/** Together with the lease: readers learn of a dead owner within "lease + 2 s". */
const reapEveryMs = 1_000;
const pruneEveryMs = 60_000;
/** Long enough for a client that slept to resume from its cursor. */
const keepChunksMs = 3_600_000;
/** Ids per query: a few queries cover a whole server's turns. */
const listSize = 500;
/**
 * Turns per claim: few enough to finish within their leases and to share the work among servers.
 */
const batchSize = 50;
/** Chunks read at once (at least one whole turn): a few megabytes typically. */
const maxChunksPerRead = 2_000;
/**
 * Pause between batches with turns to rerun: at most 500 starts/s here, and other servers get a
 * share.
 */
const runPauseMs = 100;
/** Longer than any budget's day, so operators can look back a month. */
const keepUsageDays = 31;
/** Turns pruned per statement. */
const pruneSize = 500;
/** Time owners get to renew leases once the database is back: several of their retries. */
const renewalGraceMs = 3_000;
/** Servers that may crash while running one turn, since its answer may be the cause. */
const maxCrashes = 3;

type Run = (orphan: Orphan) => void;

/**
 * Starts reaping and pruning. `isLocal`: turns this process writes, which are late but not dead.
 * `runner`: reruns a turn without an answer; null while none is registered. Returns the stop
 * function.
 */
export function startReaper(
  leaseMs: number,
  isLocal: (turnId: string) => boolean,
  runner: () => Run | null,
): () => void {
  const reaper = new Reaper(leaseMs, isLocal, runner);
  const rounds = [
    // Often enough that no outage long enough to expire leases fits between two rounds.
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

export class Reaper {
  stopped = false;
  readonly #leaseMs: number;
  readonly #isLocal: (turnId: string) => boolean;
  readonly #runner: () => Run | null;
  #quietUntilMs = 0;

  constructor(leaseMs: number, isMine: (turnId: string) => boolean, runner: () => Run | null) {
    this.#leaseMs = leaseMs;
    this.#isLocal = isMine;
    this.#runner = runner;
  }

  /** Takes over all expired turns: a server that dies may leave a thousand. */
  async round(): Promise<void> {
    for (let more = true; more && !this.stopped; ) {
      const expired = await this.#listExpired();
      const dead = expired.filter((turnId) => !this.#isLocal(turnId));
      // If the list was not full, the rest belongs to others or is retried in the next round.
      more = (await this.#takeOverAll(dead)) > 0 && expired.length === listSize;
    }
  }

  /** Empty while it is too early to call an owner dead. */
  async #listExpired(): Promise<string[]> {
    const startMs = performance.now();
    let answered = false;
    try {
      const expired = await listExpiredTurns(listSize);
      // A shorter outage costs an owner one renewal at most, which it can spare.
      answered = performance.now() - startMs < this.#leaseMs / 3;
      return answered && startMs >= this.#quietUntilMs ? expired : [];
    } finally {
      // Nobody could renew while the database was away: an expired lease does not mean a dead
      // owner.
      if (!answered) this.#quietUntilMs = performance.now() + renewalGraceMs;
    }
  }

  /** Returns how many were claimed here; other processes claim from the same list. */
  async #takeOverAll(turnIds: string[]): Promise<number> {
    let done = 0;
    for (let full = turnIds.length > 0; full && !this.stopped; ) {
      const turns = await claimExpiredTurns(turnIds, batchSize, this.#leaseMs);
      const orphans = await this.#takeOver(turns);
      done += turns.length;
      full = turns.length === batchSize;
      if (full && orphans > 0) await delay(runPauseMs);
    }
    return done;
  }

  /**
   * Reruns or ends claimed turns, outside any transaction: the claim's epoch guards every write. If
   * this process dies meanwhile, the leases run out and another claims them. Returns how many are
   * rerun.
   */
  async #takeOver(turns: ClaimedTurn[]): Promise<number> {
    let orphans = 0;
    let claimed = turns;
    for (const [index, group] of groupsOf(turns).entries()) {
      // Earlier groups may have taken long.
      if (index > 0) claimed = await this.#renew(claimed);
      const stillClaimed = group.filter((turn) => claimed.includes(turn));
      claimed = claimed.filter((turn) => !group.includes(turn));
      orphans += await this.#takeOverGroup(stillClaimed);
    }
    return orphans;
  }

  /** The turns still claimed by this process. */
  async #renew(turns: ClaimedTurn[]): Promise<ClaimedTurn[]> {
    const rows = turns.map(({ turnId, epoch, lastSeq }) => ({ turnId, epoch, lastSeq, chunks: [] }));
    const kept = new Set((await commitChunks(pool().sql, rows, this.#leaseMs)).map(({ turnId }) => turnId));
    return turns.filter(({ turnId }) => kept.has(turnId));
  }

  async #takeOverGroup(turns: ClaimedTurn[]): Promise<number> {
    const run = this.#runner();
    const stored = await readStored(turns.filter((turn) => keptContentOf(turn) !== "log"));
    const endings: OrphanEnding[] = [];
    let orphans = 0;
    for (const turn of turns) {
      const logged = stored.get(turn.turnId) ?? [];
      const { turnId, epoch } = turn;
      if (run && canRerun(turn, logged)) {
        orphans += 1;
        logger.warn({ turnId, epoch }, "running a turn whose owner is gone");
        run({ ...turn, createdAt: new Date(turn.createdMs), stored: logged });
      } else {
        const ending = await prepareEnding(turn, logged);
        if (ending) endings.push(ending);
      }
    }
    await this.#store(endings, stored);
    return orphans;
  }

  /**
   * A turn that the database refuses to end must not block others: those in the same statement are
   * stored one by one.
   */
  async #store(endings: OrphanEnding[], stored: Map<string, LoggedChunk[]>): Promise<void> {
    const [first] = endings;
    if (!first) return;
    try {
      await this.#commit(endings);
    } catch (error) {
      if (isDatabaseUnavailable(error)) throw error;
      if (endings.length > 1) for (const ending of endings) await this.#store([ending], stored);
      else await this.#storeTextOnly(first.turn, stored.get(first.turn.turnId) ?? [], error);
    }
  }

  /** The full message was refused; try its text alone. */
  async #storeTextOnly(turn: ClaimedTurn, logged: LoggedChunk[], cause: unknown): Promise<void> {
    const { turnId, crashes } = turn;
    try {
      if (keptContentOf(turn) === "log") throw cause;
      logger.error({ err: cause, turnId, crashes }, "an answer could not be stored, its text is");
      await this.#commit([await endOrphan(turn, logged, "text")]);
    } catch (error) {
      if (isDatabaseUnavailable(error)) throw error;
      logger.error({ err: error, turnId, crashes }, "turn could not be ended; will retry after its lease");
    }
  }

  async #commit(endings: OrphanEnding[]): Promise<void> {
    const rows = endings.map(({ row }) => row);
    const ended = new Set((await commitChunks(pool().sql, rows, this.#leaseMs)).map(({ turnId }) => turnId));
    for (const { turn, row, metadata } of endings) {
      const { turnId, userId, request, ageMs: durationMs } = turn;
      // Otherwise its lease ran out meanwhile, and another process ends it.
      if (!ended.has(turnId)) continue;
      const { model } = request as { model: string };
      reportTurn({ turnId, userId, model, metadata, durationMs, takenOver: true });
      if (row.final?.parts === null) await endMessage(turnId, row.final.state);
    }
  }
}

/** Null if its log cannot be folded; it is retried after the lease, keeping less. */
async function prepareEnding(turn: ClaimedTurn, logged: LoggedChunk[]): Promise<OrphanEnding | null> {
  const kept = keptContentOf(turn);
  const { turnId, crashes } = turn;
  try {
    return await endOrphan(turn, logged, kept);
  } catch (error) {
    logger.error({ err: error, turnId, crashes, kept }, "turn could not be ended; will retry after its lease");
    return null;
  }
}

/** Updates the message of a turn that ended without one. */
async function endMessage(turnId: string, state: string): Promise<void> {
  try {
    await setMessageStatus(turnId, state);
  } catch (error) {
    logger.error({ err: error, turnId }, "the message of an ended turn could not be changed");
  }
}

/** Splits into groups, in order, each small enough to read at once. */
function groupsOf(turns: ClaimedTurn[]): ClaimedTurn[][] {
  const groups: ClaimedTurn[][] = [];
  let chunks = Number.POSITIVE_INFINITY;
  for (const turn of turns) {
    if (chunks + turn.lastSeq > maxChunksPerRead) {
      groups.push([]);
      chunks = 0;
    }
    chunks += turn.lastSeq;
    groups.at(-1)?.push(turn);
  }
  return groups;
}

async function readStored(turns: ClaimedTurn[]): Promise<Map<string, LoggedChunk[]>> {
  const rows = await readAllChunks(
    pool().sql,
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

/** The log prefix may come from another answer; it does not count as this turn's own. */
function canRerun({ crashes, stopRequested, request }: ClaimedTurn, stored: LoggedChunk[]): boolean {
  const { begunSeq = 0 } = request as { begunSeq?: number };
  const ownChunks = stored.filter(({ seq }) => seq > begunSeq).map(({ chunk }) => chunk);
  return crashes < maxCrashes && !stopRequested && (isUnanswered(ownChunks) || upstreamOf(ownChunks) !== null);
}
