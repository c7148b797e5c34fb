// Rate limits per user, address, email and overall (docs/operations.md, Limits). Counted in
// Postgres, so that limits hold across all servers of a database. A server reserves uses in batches
// and hands them out from memory, so most requests need no query. Not here: route costs
// (lib/route-costs.ts) and storage ceilings.

import { createHash } from "node:crypto";
import { addUses, deleteExpiredCounters } from "@/db/limits";
import { isDatabaseUnavailable } from "./database-unavailable";
import { env } from "./env";
import { AppError } from "./errors";
import { logger } from "./logger";
import { processSingleton } from "./process-singletons";

type Limit = { uses: number; seconds: number };
/** Whose uses are counted together. */
type Scope = "user" | "address" | "email" | "addressAndEmail" | "everyone";

const perMinute = (uses: number): Limit => ({ uses, seconds: 60 });
const perHour = (uses: number): Limit => ({ uses, seconds: 3_600 });

/**
 * A limit for everyone bounds the total, and is at least five times that of one address: no single
 * caller can exhaust it. Limits by address are generous, for schools and offices behind one
 * address.
 */
export const limits = {
  /** Every request except health checks, in addition to its class below. */
  request: { address: perMinute(6_000) },
  /** One row by key. */
  read: { user: perMinute(1_200) },
  /** A page of rows. */
  list: { user: perMinute(600) },
  /** Full-text search. */
  search: { user: perMinute(120), address: perMinute(600), everyone: perMinute(3_000) },
  /** Reads all of a user's data. */
  export: { user: perHour(20), address: perHour(200) },
  /** Changes or deletes rows. */
  write: { user: perMinute(300) },
  /** Opens a stream or a feed: a reconnecting client does so about once a second. */
  stream: { user: perMinute(600) },
  /** A rendered page, or a document about this server. Opening the page once requests several. */
  page: { address: perMinute(2_400) },
  upload: { user: perMinute(60), address: perMinute(300), everyone: perMinute(1_500) },
  /** No one asks more than one question per second for a minute. */
  turn: { user: perMinute(60), everyone: perMinute(30_000) },
  /** New guests and sign-ups. */
  account: { address: perHour(300), everyone: perHour(3_000) },
  /**
   * By email across all addresses, so that more addresses do not allow more guesses; successful
   * sign-ins are not counted.
   */
  signIn: { addressAndEmail: perMinute(10), email: perHour(100), address: perMinute(100), everyone: perMinute(1_000) },
} satisfies Record<string, Partial<Record<Scope, Limit>>>;

export type Cost = keyof typeof limits;
export type LimitSubject = { user?: string; address?: string; email?: string };

/** One limit of one caller. */
type Counted = { key: string; limit: Limit };

type Counter = {
  /** Reserved in the database and unused; valid until the window ends. */
  remaining: number;
  /** Reserved by this server in this window. */
  reserved: number;
  /** End of the window, by this process's clock. */
  untilMs: number;
  /** The database has none left until the window ends. */
  exhausted: boolean;
  reserving: Promise<void> | null;
};

type State = { counters: Map<string, Counter>; sweptMs: number; unavailableUntilMs: number };
const state = processSingleton<State>("limits", () => ({
  counters: new Map(),
  sweptMs: performance.now(),
  unavailableUntilMs: 0,
}));

/**
 * A server reserves as many uses as it has handed out in the window, up to this share of the limit.
 * Unused reservations expire with the window, so servers together never exceed the limit, and each
 * gets its share.
 */
const maxReservedShare = 0.1;
const sweepEveryMs = 60_000;
const sweepSize = 10_000;
/**
 * How long counting is suspended after the database did not answer. Requests that need it are
 * refused anyway.
 */
const unavailableMs = 5_000;

/**
 * Counts one use against each limit of these costs. Throws rate_limited with the seconds to wait.
 */
export async function spend(costs: Cost[], who: LimitSubject): Promise<void> {
  const counted = countedFor(costs, who);
  for (;;) {
    requireNoneExhausted(counted);
    const { counters, unavailableUntilMs } = state();
    const nowMs = performance.now();
    const empty = counted.filter(({ key }) => !hasRemaining(counters.get(key), nowMs));
    if (empty.length === 0) break;
    if (nowMs < unavailableUntilMs) return;
    await (pendingReservation(empty) ?? reserve(empty));
  }
  for (const { key } of counted) counterOf(key).remaining -= 1;
}

/** Returns a use that turned out to cost nothing, for some or all of its limits. */
export function refund(costs: Cost[], who: LimitSubject, scopes?: Scope[]): void {
  for (const { key } of countedFor(costs, who, scopes)) counterOf(key).remaining += 1;
}

/** Refuses a caller whose limits are known to be exhausted, before any query. Counts nothing. */
export function requireRemaining(costs: Cost[], who: LimitSubject): void {
  requireNoneExhausted(countedFor(costs, who));
}

function requireNoneExhausted(counted: Counted[]): void {
  const nowMs = performance.now();
  const waitsMs = counted.flatMap(({ key }) => {
    const counter = state().counters.get(key);
    const exhausted = counter?.exhausted && counter.remaining < 1 && counter.untilMs > nowMs;
    return exhausted ? [counter.untilMs - nowMs] : [];
  });
  if (waitsMs.length > 0) throw tooMany(Math.max(1, Math.ceil(Math.max(...waitsMs) / 1_000)));
}

function tooMany(seconds: number): AppError {
  const wait = seconds === 1 ? "a second" : `${seconds} seconds`;
  return new AppError("rate_limited", `Too many requests. Nothing was changed; try again in ${wait}.`, {
    retryAfter: seconds,
  });
}

function countedFor(costs: Cost[], who: LimitSubject, only?: Scope[]): Counted[] {
  const { RATE_LIMITS } = env();
  if (RATE_LIMITS === "off") return [];
  const factor = RATE_LIMITS === "on" ? 1 : RATE_LIMITS;
  return costs.flatMap((cost) =>
    (Object.entries(limits[cost]) as [Scope, Limit][]).flatMap(([scope, { uses, seconds }]) => {
      const id = only && !only.includes(scope) ? null : idOf(scope, who);
      if (id === null) return [];
      return [{ key: `${cost}/${scope}/${id}`, limit: { uses: Math.max(1, Math.round(uses * factor)), seconds } }];
    }),
  );
}

/** Null if not applicable: an address is counted before the user is known. */
function idOf(scope: Scope, { user, address, email }: LimitSubject): string | null {
  if (scope === "everyone") return "";
  if (scope === "user") return user ?? null;
  if (scope === "address") return address ?? null;
  if (email === undefined) return null;
  // Hashed: users sometimes type a password as the email.
  const hashed = createHash("sha256").update(email).digest("base64url");
  return scope === "email" ? hashed : `${address ?? ""} ${hashed}`;
}

function counterOf(key: string): Counter {
  const { counters } = state();
  const counter = counters.get(key) ?? { remaining: 0, reserved: 0, untilMs: 0, exhausted: false, reserving: null };
  counters.set(key, counter);
  return counter;
}

function hasRemaining(counter: Counter | undefined, nowMs: number): boolean {
  return counter !== undefined && counter.remaining >= 1 && counter.untilMs > nowMs;
}

function pendingReservation(empty: Counted[]): Promise<void> | undefined {
  for (const { key } of empty) {
    const reserving = state().counters.get(key)?.reserving;
    if (reserving) return reserving;
  }
}

/** Reserves the next uses for all of these in one statement. */
function reserve(empty: Counted[]): Promise<void> {
  const counters = empty.map(({ key }) => counterOf(key));
  const reserving = reserveInDatabase(empty, counters).finally(() => {
    for (const counter of counters) counter.reserving = null;
  });
  for (const counter of counters) counter.reserving = reserving;
  void sweep();
  return reserving;
}

async function reserveInDatabase(empty: Counted[], counters: Counter[]): Promise<void> {
  const startMs = performance.now();
  const requested = empty.map(({ key, limit }, index) => {
    const { untilMs, reserved } = counters[index] as Counter;
    const doubled = untilMs > startMs ? reserved : 0;
    const uses = Math.max(1, Math.min(doubled, Math.floor(limit.uses * maxReservedShare)));
    return { key, uses, windowSeconds: limit.seconds };
  });
  try {
    const counted = new Map((await addUses(requested)).map((row) => [row.key, row]));
    const nowMs = performance.now();
    for (const [index, { key, uses }] of requested.entries()) {
      const counter = counters[index] as Counter;
      const max = (empty[index] as Counted).limit.uses;
      const row = counted.get(key);
      if (!row) throw new Error(`no counter came back for ${key}`);
      const granted = Math.min(uses, Math.max(0, max - (row.uses - uses)));
      const same = counter.untilMs > nowMs;
      counter.remaining = granted + (same ? Math.max(0, counter.remaining) : 0);
      counter.reserved = granted + (same ? counter.reserved : 0);
      counter.untilMs = nowMs + Math.max(1, row.msLeft);
      counter.exhausted = row.uses >= max;
    }
  } catch (error) {
    if (!isDatabaseUnavailable(error)) throw error;
    logger.debug({ err: error }, "requests are not counted: the database is unreachable");
    state().unavailableUntilMs = performance.now() + unavailableMs;
  }
}

/** Periodically drops counters of past windows, here and in the database. */
async function sweep(): Promise<void> {
  const nowMs = performance.now();
  const { counters, sweptMs } = state();
  if (nowMs - sweptMs < sweepEveryMs) return;
  state().sweptMs = nowMs;
  for (const [key, { untilMs, reserving }] of counters) if (untilMs <= nowMs && !reserving) counters.delete(key);
  try {
    while ((await deleteExpiredCounters(sweepSize)) === sweepSize);
  } catch (error) {
    if (!isDatabaseUnavailable(error)) logger.error({ err: error }, "expired counters were not deleted; will retry");
  }
}
