// From start to exit of one server process: configuration checked, migrations applied, the log listening and reaping;
// then SIGTERM or SIGINT, the drain, exit 0 (docs/operations.md).
import { closePool } from "@/db/client";
import { migrateDatabase } from "@/db/migrate";
import { drain } from "@/lib/chats/drain";
import { env } from "@/lib/env";
import { turnLog } from "@/lib/log/turn-log";
import { describeError, logger } from "@/lib/logger";

const key = Symbol.for("rivulet.alive");
const shared = globalThis as { [key]?: boolean };

export async function beginServerLife(): Promise<void> {
  if (shared[key]) return;
  shared[key] = true;
  try {
    const { DATABASE_URL } = env();
    if (!DATABASE_URL)
      throw new Error("DATABASE_URL is not set. Start with `npm start`, which provides a database, or set it.");
    await migrateDatabase(DATABASE_URL);
  } catch (error) {
    logger.debug({ err: error }, "cannot start");
    console.error(`Rivulet cannot start: ${reasonOf(error)}`);
    process.exit(1);
  }
  turnLog();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, leave);
}

/** One sentence for the terminal; the connection string, which may hold a password, is never part of it. */
function reasonOf(error: unknown): string {
  const { code, message } = describeError(error);
  if (code && !/^\d/.test(code)) return `the database of DATABASE_URL does not answer (${code}).`;
  return message ?? "the database of DATABASE_URL cannot be used.";
}

let leaving = false;

/** Signals may come twice: from a terminal to the whole group, and from the launcher. */
async function leave(): Promise<void> {
  if (leaving) return;
  leaving = true;
  try {
    await drain();
    await closePool();
  } catch (error) {
    logger.error({ err: error }, "shutdown was not clean");
    process.exit(1);
  }
  process.exit(0);
}
