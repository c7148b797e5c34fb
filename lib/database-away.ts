// Tells "the database is away, try again" from "the database refuses this".

/** SQLSTATE classes: connection exception, insufficient resources, operator intervention, system error; serialisation and deadlock. */
const passing = ["08", "53", "57", "58", "40"];
/** A statement that Postgres ended at its limit of time, or while it waited for a lock (db/connect.ts). */
const limits = new Set(["57014", "55P03"]);
/** Read only: a standby that is about to take over. A transaction that this process, busy for too long, left idle. */
const passingCodes = new Set(["25006", "25P03", ...limits]);
/** Node's and postgres.js' own codes for a connection that is not there. */
const connection = new Set([
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

/** A table or a column that is not there: what a database without its migrations answers. */
const unmigrated = new Set(["42P01", "42703"]);

const key = Symbol.for("rivulet.migrations-pending");
const shared = globalThis as { [key]?: boolean };

/** Told by a server that started while its database was away: the migrations are applied when it is back. */
export function expectMigrations(pending: boolean): void {
  shared[key] = pending;
}

export function areMigrationsPending(): boolean {
  return shared[key] ?? false;
}

/** True for a failure that repeating the same call may mend. Looks through wrapping errors. */
export function isDatabaseAway(error: unknown): boolean {
  return hasCode(error, (code) => {
    if (connection.has(code) || passingCodes.has(code)) return true;
    if (areMigrationsPending() && unmigrated.has(code)) return true;
    return code.length === 5 && passing.includes(code.slice(0, 2));
  });
}

/** True where the database lives and took too long over this statement: repeating it may, and may not, help. */
export function isOverDatabaseLimit(error: unknown): boolean {
  return hasCode(error, (code) => limits.has(code));
}

/** True when a user has too much heavy work waiting (db/fair-share.ts). */
export function isQueueFull(error: unknown): boolean {
  return hasCode(error, (code) => code === "QUEUE_FULL");
}

/** True when a text holds what Postgres has no place for: NUL. */
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
