// Tells "the database is away, try again" from "the database refuses this".

/** SQLSTATE classes: connection exception, insufficient resources, operator intervention, system error; serialisation and deadlock. */
const passing = ["08", "53", "57", "58", "40"];
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
  "CONNECT_TIMEOUT",
]);

/** True for a failure that repeating the same call may mend. Looks through wrapping errors. */
export function isDatabaseAway(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as Error & { code?: unknown };
    if (typeof code !== "string") continue;
    if (connection.has(code)) return true;
    // Read only: a standby that is about to take over.
    if (code === "25006") return true;
    if (code.length === 5 && passing.includes(code.slice(0, 2))) return true;
  }
  return false;
}
