// Statements on token usage besides those of the log, which settle it with each terminal (db/log.ts).
import "server-only";
import { sweep } from "./client";

/** What a turn may take when it starts. A null budget is none. */
export type TurnCeilings = {
  /** Running turns of the user, this one included. */
  running: number;
  /** Chats of the user, if the turn makes one, and bytes of the user's messages and documents. Left out: not checked. */
  chats?: number;
  storedBytes?: number;
  /** Estimated tokens of what is new in the prompt; the chat's messages are added where a budget applies. */
  promptTokens: number;
  /** The cap on the answer. With 0 the turn costs nothing and is not counted. */
  outputTokens: number;
  /** Tokens a day in UTC: of an account, of a guest, of all guests together, of the whole server. */
  budgets: { account: number | null; guest: number | null; allGuests: number | null; server: number | null };
};

/** Why a turn was not admitted; `resetsAt` is the end of the day by the database's clock. */
export class TurnRefused extends Error {
  readonly reason: "running" | "account" | "guest" | "allGuests" | "server";
  readonly resetsAt: Date;
  readonly resetsInSeconds: number;

  constructor(reason: TurnRefused["reason"], resetsAt: Date, resetsInSeconds: number) {
    super(`turn refused: ${reason}`);
    this.reason = reason;
    this.resetsAt = resetsAt;
    this.resetsInSeconds = resetsInSeconds;
  }
}

/** Deletes the usage of days that ended long ago. */
export async function pruneUsage(keepDays: number): Promise<void> {
  await sweep((sql) => sql`delete from token_usage where day < (now() at time zone 'UTC')::date - ${keepDays}::int`);
}
