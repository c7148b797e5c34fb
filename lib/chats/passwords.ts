// Hashing and checking passwords with argon2id, a few at a time behind a short queue. Hashing takes a core for as long as
// it lasts: without a bound, parallel sign-ins would take the processor from everybody's answers.
import { hash, verify } from "@node-rs/argon2";
import { AppError } from "@/lib/errors";

/** OWASP's first recommendation: 19 MiB, two passes. About 20 ms. */
const argon2 = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

/** One core is left for the event loop on the smallest machines; 50 hashes a second are more than people need. */
const maxRunning = 1;
/** Whoever waits behind these is answered within half a second. */
const maxWaiting = 20;

const key = Symbol.for("rivulet.passwords");
const shared = globalThis as { [key]?: { running: number; waiting: (() => void)[] } };

/** Throws rate_limited when too many are waiting. */
export function hashPassword(password: string): Promise<string> {
  return queued(() => hash(password, argon2));
}

/** False without a hash, in the same time as for a wrong password. Throws rate_limited when too many are waiting. */
export function verifyPassword(passwordHash: string | null, password: string): Promise<boolean> {
  return queued(async () => {
    const right = await verify(passwordHash ?? (await dummyHash()), password);
    return passwordHash !== null && right;
  });
}

/** Refuses before anything is asked of the database. */
export function requirePasswordQueue(): void {
  if ((shared[key]?.waiting.length ?? 0) >= maxWaiting) throw busy();
}

async function queued<T>(work: () => Promise<T>): Promise<T> {
  shared[key] ??= { running: 0, waiting: [] };
  const queue = shared[key];
  if (queue.running >= maxRunning) {
    if (queue.waiting.length >= maxWaiting) throw busy();
    // Whoever ends hands its place over, so that nobody who comes meanwhile can take it.
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
