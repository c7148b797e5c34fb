// Hashes and verifies passwords with argon2id, with bounded concurrency and a short queue. Each
// hash occupies a core: unbounded parallel sign-ins would starve running answers.

import { hash, verify } from "@node-rs/argon2";
import { AppError } from "@/lib/errors";
import { processSingleton } from "@/lib/process-singletons";

/** OWASP's first recommendation: 19 MiB, two passes. About 20 ms. */
const argon2 = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

/**
 * Leaves a core for the event loop on the smallest machines; 50 hashes/s are more than users need.
 */
const maxRunning = 1;
/** Queue limit: the last one waits under half a second. */
const maxWaiting = 20;

type Queue = { running: number; waiting: (() => void)[] };
const passwordQueue = processSingleton<Queue>("passwords", () => ({ running: 0, waiting: [] }));

/** Throws rate_limited if the queue is full. */
export function hashPassword(password: string): Promise<string> {
  return queued(() => hash(password, argon2));
}

/**
 * False without a hash, after the same time as for a wrong password. Throws rate_limited if the
 * queue is full.
 */
export function verifyPassword(passwordHash: string | null, password: string): Promise<boolean> {
  return queued(async () => {
    const right = await verify(passwordHash ?? (await dummyHash()), password);
    return passwordHash !== null && right;
  });
}

/** Refuses before any database query. */
export function requirePasswordQueue(): void {
  if (passwordQueue().waiting.length >= maxWaiting) throw busy();
}

async function queued<T>(work: () => Promise<T>): Promise<T> {
  const queue = passwordQueue();
  if (queue.running >= maxRunning) {
    if (queue.waiting.length >= maxWaiting) throw busy();
    // A finishing job hands its slot to the next waiter, so no newcomer can take it.
    await new Promise<void>((resolve) => queue.waiting.push(resolve));
  } else queue.running += 1;
  try {
    return await work();
  } finally {
    const next = queue.waiting.shift();
    if (next) next();
    else queue.running -= 1;
  }
}

function busy(): AppError {
  return new AppError(
    "rate_limited",
    "Too many people are signing in at once. Nothing was changed; try again in a second.",
    {
      retryAfter: 1,
    },
  );
}

let dummy: Promise<string> | undefined;
function dummyHash(): Promise<string> {
  dummy ??= hash("no password has this hash", argon2);
  return dummy;
}
