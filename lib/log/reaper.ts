// Turns whose owner died: running turns with an expired lease are claimed, many at once, by a guarded update of its own. Where
// nothing of its answer is stored a turn is run again, by the runner that the log was given; else its log is folded and closed
// (orphan-ending.ts), and stored by a second update that the claim's epoch guards. The database decides who claims which turn.

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
import { isDatabaseAway } from "@/lib/database-away";
import { logger } from "@/lib/logger";
import { repeat } from "@/lib/repeat";
import { isUnanswered } from "@/lib/turn/begun";
import type { LoggedChunk, TurnChunk } from "@/lib/turn/chunks";
import { upstreamOf } from "@/lib/turn/upstream";
import type { Orphan } from "./contract";
import { endOrphan, keptOf, type OrphanEnding } from "./orphan-ending";
import { reportTurn } from "./turn-report";

/** With the lease this is the "lease + 2 s" within which every reader learns that an owner died. */
const reapEveryMs = 1_000;
const pruneEveryMs = 60_000;
/** Long enough for a client that slept to resume from its cursor. */
const keepChunksMs = 3_600_000;
/** Ids looked at in one go: a whole server's turns in a few. */
const listSize = 500;
/** Turns claimed at once, few enough for their leases, and so that several servers share the work. */
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
    for (let more = true; more && !this.stopped; ) {
      const expired = await this.#listExpired();
      const dead = expired.filter((turnId) => !this.#isMine(turnId));
      // Of a list that was not full, what is left is somebody else's or will be tried again in the next round.
      more = (await this.#takeOverAll(dead)) > 0 && expired.length === listSize;
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

  /** Returns how many were claimed here; other processes take their part of the same list. */
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
   * Runs claimed turns again or ends them, outside any transaction: the epoch of the claim guards what is written. Whatever
   * becomes of this process meanwhile, their leases run out and somebody claims them again. Returns how many are run.
   */
  async #takeOver(turns: ClaimedTurn[]): Promise<number> {
    let orphans = 0;
    let mine = turns;
    for (const [index, group] of groupsOf(turns).entries()) {
      // The groups before may have taken long.
      if (index > 0) mine = await this.#renew(mine);
      const held = group.filter((turn) => mine.includes(turn));
      mine = mine.filter((turn) => !group.includes(turn));
      orphans += await this.#takeOverGroup(held);
    }
    return orphans;
  }

  /** Those that are still claimed for this process. */
  async #renew(turns: ClaimedTurn[]): Promise<ClaimedTurn[]> {
    const rows = turns.map(({ turnId, epoch, lastSeq }) => ({ turnId, epoch, lastSeq, chunks: [] }));
    const kept = new Set((await commitChunks(pool().sql, rows, this.#leaseMs)).map(({ turnId }) => turnId));
    return turns.filter(({ turnId }) => kept.has(turnId));
  }

  async #takeOverGroup(turns: ClaimedTurn[]): Promise<number> {
    const run = this.#runner();
    const stored = await readStored(turns.filter((turn) => keptOf(turn) !== "log"));
    const endings: OrphanEnding[] = [];
    let orphans = 0;
    for (const turn of turns) {
      const logged = stored.get(turn.turnId) ?? [];
      const { turnId, epoch } = turn;
      if (run && mayRun(turn, logged)) {
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

  /** A turn that the database refuses to end must not keep the others from it: those it shared a statement with go one by one. */
  async #store(endings: OrphanEnding[], stored: Map<string, LoggedChunk[]>): Promise<void> {
    const [first] = endings;
    if (!first) return;
    try {
      await this.#commit(endings);
    } catch (error) {
      if (isDatabaseAway(error)) throw error;
      if (endings.length > 1) for (const ending of endings) await this.#store([ending], stored);
      else await this.#storeLess(first.turn, stored.get(first.turn.turnId) ?? [], error);
    }
  }

  /** The whole message was refused: its text alone may not be. */
  async #storeLess(turn: ClaimedTurn, logged: LoggedChunk[], cause: unknown): Promise<void> {
    const { turnId, crashes } = turn;
    try {
      if (keptOf(turn) === "log") throw cause;
      logger.error({ err: cause, turnId, crashes }, "an answer could not be stored, its text is");
      await this.#commit([await endOrphan(turn, logged, "text")]);
    } catch (error) {
      if (isDatabaseAway(error)) throw error;
      logger.error({ err: error, turnId, crashes }, "turn could not be ended, will be repeated after its lease");
    }
  }

  async #commit(endings: OrphanEnding[]): Promise<void> {
    const rows = endings.map(({ row }) => row);
    const ended = new Set((await commitChunks(pool().sql, rows, this.#leaseMs)).map(({ turnId }) => turnId));
    for (const { turn, row, metadata } of endings) {
      const { turnId, userId, request, ageMs: durationMs } = turn;
      // Else its lease ran out meanwhile, and somebody else ends it.
      if (!ended.has(turnId)) continue;
      const { model } = request as { model: string };
      reportTurn({ turnId, userId, model, metadata, durationMs, takenOver: true });
      if (row.final?.parts === null) await endMessage(turnId, row.final.state);
    }
  }
}

/** Null when nothing can be made of its log; it is tried again after the lease, with less. */
async function prepareEnding(turn: ClaimedTurn, logged: LoggedChunk[]): Promise<OrphanEnding | null> {
  const kept = keptOf(turn);
  const { turnId, crashes } = turn;
  try {
    return await endOrphan(turn, logged, kept);
  } catch (error) {
    logger.error({ err: error, turnId, crashes, kept }, "turn could not be ended, will be repeated after its lease");
    return null;
  }
}

/** The message of a turn that ended without one. */
async function endMessage(turnId: string, state: string): Promise<void> {
  try {
    await setMessageStatus(turnId, state);
  } catch (error) {
    logger.error({ err: error, turnId }, "the message of an ended turn could not be changed");
  }
}

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

/** A log may begin with what is kept of another answer, which says nothing about this one. */
function mayRun({ crashes, stopRequested, request }: ClaimedTurn, stored: LoggedChunk[]): boolean {
  const { begunSeq = 0 } = request as { begunSeq?: number };
  const own = stored.filter(({ seq }) => seq > begunSeq).map(({ chunk }) => chunk);
  return crashes < maxCrashes && !stopRequested && (isUnanswered(own) || upstreamOf(own) !== null);
}
