// Distinguishes "the database is away, retry" from "the database refuses this".
import { processSingleton } from "./process-singletons";

/**
 * SQLSTATE classes: connection exception, insufficient resources, operator intervention, system
 * error; serialisation and deadlock.
 */
const transientClasses = ["08", "53", "57", "58", "40"];
/**
 * Postgres cancelled the statement at its time limit or while it waited for a lock (db/connect.ts).
 */
const timeoutCodes = new Set(["57014", "55P03"]);
/**
 * Read-only: a standby about to take over. Idle in transaction: this process was busy for too long.
 */
const transientCodes = new Set(["25006", "25P03", ...timeoutCodes]);
/** Node's and postgres.js' codes for a missing connection. */
const connectionCodes = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENETDOWN",
  "EPIPE",
  "ETIMEDOUT",
  "EAI_AGAIN",
  "ENOTFOUND",
  "ENOENT",
  "CONNECTION_CLOSED",
  "CONNECTION_ENDED",
  "CONNECTION_DESTROYED",
  "CONNECTION_SILENT",
  "CONNECT_TIMEOUT",
]);

/** Missing table or column: the database has not been migrated. */
const missingSchemaCodes = new Set(["42P01", "42703"]);

const migrations = processSingleton("migrations", () => ({ pending: false }));

/** Set by a server that started while its database was away: migrations run once it is back. */
export function setMigrationsPending(pending: boolean): void {
  migrations().pending = pending;
}

export function areMigrationsPending(): boolean {
  return migrations().pending;
}

/** True if repeating the call may succeed. Looks through wrapping errors. */
export function isDatabaseUnavailable(error: unknown): boolean {
  return hasCode(error, (code) => {
    if (connectionCodes.has(code) || transientCodes.has(code)) return true;
    if (areMigrationsPending() && missingSchemaCodes.has(code)) return true;
    return code.length === 5 && transientClasses.includes(code.slice(0, 2));
  });
}

/** True if the database is up but the statement took too long: a retry may or may not help. */
export function isDatabaseTimeout(error: unknown): boolean {
  return hasCode(error, (code) => timeoutCodes.has(code));
}

/** True if a user has too much heavy work queued (db/fair-share.ts). */
export function isQueueFull(error: unknown): boolean {
  return hasCode(error, (code) => code === "QUEUE_FULL");
}

/** True if a text contains NUL, which Postgres cannot store. */
export function isUnstorableText(error: unknown): boolean {
  return hasCode(error, (code) => code === "22021");
}

function hasCode(error: unknown, matches: (code: string) => boolean): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as Error & { code?: unknown };
    if (typeof code === "string" && matches(code)) return true;
  }
  return false;
}
