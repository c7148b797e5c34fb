// The ceiling on a user's open streams and feeds, counted across all servers of a database
// (decision 0039). A few streams per user are admitted from memory. Beyond that the server claims
// slots in the database and publishes how many it holds; unused slots are returned within a second.
// Knows nothing of requests or responses.

import { randomUUID } from "node:crypto";
import { claimStreams, publishStreams, type StreamGrant, withdrawStreams } from "@/db/open-streams";
import { isDatabaseUnavailable } from "./database-unavailable";
import { env } from "./env";
import { AppError } from "./errors";
import { logger } from "./logger";
import { processSingleton } from "./process-singletons";
import { repeat } from "./repeat";

/**
 * Streams per user that a server admits without the database: a few tabs, each with an answer and a
 * feed.
 */
const maxFloor = 8;
/**
 * Intervals for writing returned slots, and for refreshing all rows: three times before they
 * expire.
 */
const publishEveryMs = 1_000;
const defaultRefreshEveryMs = 5_000;
/** How long to avoid the database after it did not answer. Each server counts alone meanwhile. */
const unavailableMs = 5_000;
/** Each holds an advisory lock until the statement ends. */
const maxClaims = 100;

type Waiter = { admit(): void; refuse(error: unknown): void };
type Holder = {
  userId: string;
  open: number;
  /** Slots in this server's database row; 0: no row. */
  published: number;
  waiting: Waiter[];
};

/** One per server process. */
export class StreamSlots {
  readonly #serverId = randomUUID();
  readonly #refreshEveryMs: number;
  readonly #holders = new Map<string, Holder>();
  /** Serializes statements, so that an older count never overwrites a newer one. */
  #statement: Promise<unknown> = Promise.resolve();
  #claiming = false;
  #withdrawn = false;
  #refreshedMs = Number.NEGATIVE_INFINITY;
  #unavailableUntilMs = Number.NEGATIVE_INFINITY;

  constructor(refreshEveryMs = defaultRefreshEveryMs) {
    this.#refreshEveryMs = refreshEveryMs;
  }

  /** Resolves to the release function, to be called once. Throws limit_reached. */
  async acquire(userId: string): Promise<() => void> {
    const holder = this.#holders.get(userId) ?? { userId, open: 0, published: 0, waiting: [] };
    this.#holders.set(userId, holder);
    if (holder.open >= env().MAX_OPEN_STREAMS) throw limitReached(holder.open);
    if (this.#hasRoom(holder) || this.#countsAlone()) holder.open += 1;
    else await this.#claim(holder);
    return () => this.#release(holder);
  }

  /** Writes changes, and every few seconds everything held, so that it does not expire. */
  async publish(): Promise<void> {
    await this.#exclusively(async () => {
      const nowMs = performance.now();
      const refreshes = nowMs - this.#refreshedMs >= this.#refreshEveryMs;
      const changed = [...this.#holders.values()].filter((holder) => {
        const target = targetOf(holder);
        return target !== holder.published || (refreshes && target > 0);
      });
      if (changed.length === 0 || this.#withdrawn) return;
      // Before the write: nobody may take a slot that is being returned.
      for (const holder of changed) holder.published = targetOf(holder);
      this.#forgetIdle(changed);
      const refreshedMs = refreshes ? nowMs : this.#refreshedMs;
      // After a failure the next round writes everything.
      this.#refreshedMs = Number.NEGATIVE_INFINITY;
      await publishStreams(
        this.#serverId,
        changed.map(({ userId, published }) => ({ userId, streams: published })),
      );
      this.#refreshedMs = refreshedMs;
    });
  }

  /** For shutdown. From here on it counts alone. Never throws: rows that are not deleted expire. */
  async withdraw(): Promise<void> {
    this.#withdrawn = true;
    try {
      await this.#exclusively(() => withdrawStreams(this.#serverId));
    } catch (error) {
      logger.debug({ err: error }, "open streams were not released; they will expire");
    }
  }

  #hasRoom({ open, published }: Holder): boolean {
    return open < Math.max(floor(), published);
  }

  #countsAlone(): boolean {
    return this.#withdrawn || performance.now() < this.#unavailableUntilMs;
  }

  #claim(holder: Holder): Promise<void> {
    return new Promise((resolve, reject) => {
      holder.waiting.push({ admit: resolve, refuse: reject });
      if (!this.#claiming) void this.#claimAll();
    });
  }

  async #claimAll(): Promise<void> {
    this.#claiming = true;
    for (;;) {
      const waiting = [...this.#holders.values()].filter((holder) => holder.waiting.length > 0).slice(0, maxClaims);
      if (waiting.length === 0) break;
      await this.#exclusively(() => this.#claimFor(waiting));
    }
    this.#claiming = false;
  }

  /** Never throws: the waiters get the outcome. */
  async #claimFor(holders: Holder[]): Promise<void> {
    const ceiling = env().MAX_OPEN_STREAMS;
    const claims = holders.map(({ userId, open, waiting }) => {
      return { userId, open, wanted: Math.min(ceiling, roundUp(open + waiting.length)) };
    });
    // Waiters that arrive during the statement wait for the next one.
    const counts = holders.map(({ waiting }) => waiting.length);
    let grants: Map<string, StreamGrant> | null = null;
    try {
      grants = new Map((await claimStreams(this.#serverId, claims, ceiling)).map((grant) => [grant.userId, grant]));
    } catch (error) {
      if (!isDatabaseUnavailable(error)) {
        for (const holder of holders) for (const waiter of holder.waiting.splice(0)) waiter.refuse(error);
        return;
      }
      logger.debug({ err: error }, "open streams are counted by this server alone: the database is unreachable");
      this.#unavailableUntilMs = performance.now() + unavailableMs;
    }
    for (const [index, holder] of holders.entries()) {
      const grant = grants?.get(holder.userId);
      if (grant && grant.granted > (claims[index]?.open ?? 0)) holder.published = grant.granted;
      for (const waiter of holder.waiting.splice(0, counts[index])) {
        const room = grants ? this.#hasRoom(holder) : holder.open < ceiling;
        if (room) {
          holder.open += 1;
          waiter.admit();
        } else waiter.refuse(limitReached(holder.open + (grant?.elsewhere ?? 0)));
      }
    }
    this.#forgetIdle(holders);
  }

  #release(holder: Holder): void {
    holder.open -= 1;
    this.#forgetIdle([holder]);
  }

  #forgetIdle(holders: Holder[]): void {
    for (const { userId, open, published, waiting } of holders)
      if (open === 0 && published === 0 && waiting.length === 0) this.#holders.delete(userId);
  }

  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#statement.then(work, work);
    this.#statement = result.catch(() => {});
    return result;
  }
}

export const streamSlots = processSingleton("stream-slots", () => new StreamSlots());

/** Call once at startup. */
export function startPublishingStreams(): void {
  repeat(publishEveryMs, () => streamSlots().publish());
}

/** A fifth of a small ceiling, so that a few servers cannot exceed it many times over. */
function floor(): number {
  return Math.min(maxFloor, Math.ceil(env().MAX_OPEN_STREAMS / 5));
}

/**
 * Slots are claimed one by one at the default ceiling, and in steps of a fiftieth of a ceiling of
 * thousands.
 */
function roundUp(streams: number): number {
  const step = Math.ceil(env().MAX_OPEN_STREAMS / 50);
  return Math.ceil(streams / step) * step;
}

/** The target for the server's row. Exceeds the grant only after counting alone. */
function targetOf({ open, published }: Holder): number {
  return open <= floor() ? 0 : Math.max(open, Math.min(published, roundUp(open)));
}

function limitReached(open: number): AppError {
  return new AppError(
    "limit_reached",
    `You have ${open} streams open, the most that this server allows. Nothing was started; close a tab or a client, then try again.`,
    // The end of a stream cannot be predicted.
    { retryAfter: 5 },
  );
}
