// How often one user or address may do what costs something. Counted in memory, so each server process counts for
// itself: these limits stop runaway scripts and password guessing, they are not billing.
import { type IRateLimiterOptions, RateLimiterMemory, type RateLimiterRes } from "rate-limiter-flexible";
import { env } from "@/lib/env";
import { AppError } from "@/lib/errors";

const limits = {
  /** By user. A person does not ask more than one question a second for a minute. */
  turn: { points: 60, duration: 60 },
  /** By address. Generous, for schools and offices behind one address. */
  account: { points: 300, duration: 3_600 },
  /** By address and email. */
  signIn: { points: 10, duration: 60 },
  /** By user. */
  upload: { points: 60, duration: 60 },
} satisfies Record<string, IRateLimiterOptions>;

export type Limited = keyof typeof limits;

const key = Symbol.for("rivulet.quota");
const shared = globalThis as { [key]?: Record<Limited, RateLimiterMemory> };

/** Counts one use. Throws rate_limited, with the seconds to wait. */
export async function spend(what: Limited, who: string): Promise<void> {
  if (env().RATE_LIMITS === "off") return;
  try {
    await limiter(what).consume(who);
  } catch (refusal) {
    // Known by what it is not: its class is another one where another bundle made the limiters.
    if (refusal instanceof Error) throw refusal;
    const seconds = Math.max(1, Math.ceil((refusal as RateLimiterRes).msBeforeNext / 1_000));
    throw new AppError("rate_limited", `Too many requests. Nothing was changed; try again in ${seconds} seconds.`, {
      retryAfter: seconds,
    });
  }
}

/** Takes a use back that turned out to start nothing new. */
export async function refund(what: Limited, who: string): Promise<void> {
  if (env().RATE_LIMITS !== "off") await limiter(what).reward(who);
}

function limiter(what: Limited): RateLimiterMemory {
  shared[key] ??= {
    turn: new RateLimiterMemory(limits.turn),
    account: new RateLimiterMemory(limits.account),
    signIn: new RateLimiterMemory(limits.signIn),
    upload: new RateLimiterMemory(limits.upload),
  };
  return shared[key][what];
}
