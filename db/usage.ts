// Statements on token usage besides the log's, which settle it with each terminal (db/log.ts).
import "server-only";
import { sweep } from "./client";

/** Limits a turn must fit when it starts. A null budget is unlimited. */
export type TurnCeilings = {
  /** Running turns of the user, including this one. */
  running: number;
  /**
   * The user's chats, if the turn creates one, and stored bytes of messages and documents.
   * Undefined: not checked.
   */
  chats?: number;
  storedBytes?: number;
  /** Estimated tokens of the new part of the prompt; budgets add the chat's messages. */
  promptTokens: number;
  /** The cap on the answer. With 0 the turn is free and not counted. */
  outputTokens: number;
  /** Tokens per UTC day: per account, per guest, for all guests together, for the whole server. */
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
