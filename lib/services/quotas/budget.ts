// A turn's ceilings and budgets, and the error for a turn that may not start. The database enforces
// them in the statement that starts the turn (db/turns.ts), so the limits hold across servers.
import type { TurnCeilings, TurnRefused } from "@/db/usage";
import { env } from "@/lib/env";
import { AppError } from "@/lib/errors";
import { hasPaidModel } from "@/lib/models/catalogue";
import type { StoredRequest } from "@/lib/services/turns/stored-request";
import type { TurnRequest } from "@/lib/services/turns/turn-request";
import { allowsGuests } from "@/lib/services/users/users";
import { estimateTokens } from "@/lib/turn/usage";

/**
 * Tokens per day for guests of a paid provider, unless configured: about 2 USD a day at 2 USD per
 * million tokens.
 */
const paidGuestDefaults = { guest: 100_000, allGuests: 1_000_000 };

export function ceilingsOf(request: TurnRequest, stored: StoredRequest): TurnCeilings {
  const {
    MAX_RUNNING_TURNS: running,
    MAX_CHATS: chats,
    MAX_STORED_BYTES: storedBytes,
    BUDGET_USER_TOKENS_PER_DAY: account,
    BUDGET_GUEST_TOKENS_PER_DAY: guest,
    BUDGET_ALL_GUESTS_TOKENS_PER_DAY: allGuests,
    BUDGET_SERVER_TOKENS_PER_DAY: server,
  } = env();
  const fallback = hasPaidModel() ? paidGuestDefaults : undefined;
  const none = (budget: number | "off" | undefined) => (budget === "off" || budget === undefined ? null : budget);
  return {
    running,
    chats,
    storedBytes,
    promptTokens: stored.model === "local" ? 0 : promptTokensOf(request),
    outputTokens: stored.model === "local" ? 0 : outputCapOf(stored),
    budgets: {
      account: none(account),
      // Guests created before guests were disabled. Free models have no budget and keep working.
      guest: allowsGuests() ? none(guest ?? fallback?.guest) : 0,
      allGuests: none(allGuests ?? fallback?.allGuests),
      server: none(server),
    },
  };
}

/** A client may request less than the server's cap. */
export function outputCapOf({ prompt, call = prompt }: StoredRequest): number {
  const cap = env().MAX_OUTPUT_TOKENS;
  return Math.min(call?.settings.maxOutputTokens ?? cap, cap);
}

function promptTokensOf(request: TurnRequest): number {
  if (request.trigger === "submit-message") return estimateTokens(JSON.stringify(request.message.parts));
  if (request.trigger !== "answer-prompt") return 0;
  const { echo: _, ...read } = request.prompt;
  return estimateTokens(JSON.stringify(read));
}

const owners = {
  account: "Your token budget",
  guest: "A guest's token budget",
  allGuests: "The token budget of this server's guests",
  server: "This server's token budget",
};

export function turnRefusedError({ reason, resetsAt, resetsInSeconds }: TurnRefused): AppError {
  if (reason === "running")
    return new AppError(
      "limit_reached",
      `At most ${env().MAX_RUNNING_TURNS} of your answers can run at once. Nothing was sent; ` +
        "wait for one of them to end or stop it, then send again.",
      // The end of a running turn cannot be predicted.
      { retryAfter: 5 },
    );
  if (reason === "guest" && !allowsGuests())
    return new AppError(
      "forbidden",
      "Guests can no longer use this model. Nothing was sent; create an account to continue with your chats.",
    );
  return new AppError(
    "budget_exhausted",
    `${owners[reason]} for today does not cover this question. Nothing was sent. Try again after 00:00 UTC, when it ` +
      "resets, or sooner: running answers reserve a share until they end.",
    { retryAfter: resetsInSeconds, details: { resetsAt: resetsAt.toISOString() } },
  );
}
