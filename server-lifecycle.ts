// The life of one server process: configuration checked, migrations applied, the log listening and
// reaping; then SIGTERM or SIGINT, drain, exit 0 (docs/operations.md).

import { setTimeout as delay } from "node:timers/promises";
import { closePool } from "@/db/client";
import { buildIndexes } from "@/db/indexes";
import { type DatabaseReport, migrateDatabase } from "@/db/migrate";
import { clientStreams } from "@/lib/client-streams";
import { isDatabaseUnavailable, setMigrationsPending } from "@/lib/database-unavailable";
import { env } from "@/lib/env";
import { watchEventLoop } from "@/lib/event-loop";
import { turnLog } from "@/lib/log/turn-log";
import { describeError, logger, terminalSafe } from "@/lib/logger";
import { configuredModels } from "@/lib/models/catalogue";
import { processSingleton } from "@/lib/process-singletons";
import { refreshSamples } from "@/lib/retrieval/samples";
import { keepIndexingMessages } from "@/lib/services/chats/search-index";
import { watchCount } from "@/lib/services/chats/watch-chat";
import { startSweeps } from "@/lib/services/sweep";
import { drain } from "@/lib/services/turns/drain";
import { startTakeovers } from "@/lib/services/turns/takeover";
import { startCredentialChecks } from "@/lib/services/users/credential-checks";
import { setupLink } from "@/lib/services/users/setup-link";
import { heartbeatCount } from "@/lib/sse";
import { configurationWarnings, noModelWarning } from "@/lib/startup-report";
import { startPublishingStreams } from "@/lib/stream-slots";

const lifecycle = processSingleton("lifecycle", () => ({ started: false }));

/** Retry interval for a database that was unreachable at start. */
const retryMs = 1_000;

export async function startServerLifecycle(): Promise<void> {
  if (lifecycle().started) return;
  lifecycle().started = true;
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, shutDown);
  process.on("SIGUSR2", logOpenCounts);
  watchEventLoop();
  checkConfiguration();
  if (await applyMigrations()) await startBackgroundWork();
  else void startOnceDatabaseAnswers();
}

/** Retry delay after a failed index build. */
const rebuildMs = 60_000;

/** The server serves meanwhile: without an index statements are slower but return the same. */
async function buildIndexesAndSearch(): Promise<void> {
  for (;;) {
    try {
      await buildIndexes(env().DATABASE_URL as string);
      return keepIndexingMessages();
    } catch (error) {
      logger.warn({ err: error }, "an index could not be built; some statements are slow until it is");
      await delay(rebuildMs, undefined, { ref: false });
    }
  }
}

/** False when the database is unreachable. Any other problem ends the process. */
async function applyMigrations(): Promise<boolean> {
  try {
    const { DATABASE_URL } = env();
    if (!DATABASE_URL)
      throw new Error("DATABASE_URL is not set. Start with `npm start`, which provides a database, or set it.");
    reportDatabase(await migrateDatabase(DATABASE_URL));
    return true;
  } catch (error) {
    const away = isDatabaseUnavailable(error);
    logger[away ? "warn" : "debug"]({ err: error }, away ? "waiting for the database" : "cannot start");
    if (away) return false;
    console.error(terminalSafe(`Rivulet cannot start: ${reasonOf(error)}`));
    process.exit(1);
  }
}

function reportDatabase({ newerMigrations, superuser }: DatabaseReport): void {
  if (newerMigrations > 0)
    logger.warn(
      { newerMigrations },
      "a newer version of Rivulet has upgraded this database; this version can still serve, but upgrade it soon",
    );
  if (superuser)
    logger.warn("the role of DATABASE_URL is a superuser; give Rivulet one that owns its database and nothing more");
}

/** Throws without any model: a server that always fails would look like a working one. */
function checkConfiguration(): void {
  const models = configuredModels();
  for (const warning of configurationWarnings(env(), models)) logger.warn(warning);
  const nothing = noModelWarning(models);
  if (nothing) throw new Error(nothing);
}

/** Until then every request that needs the database gets 503. */
async function startOnceDatabaseAnswers(): Promise<void> {
  setMigrationsPending(true);
  do await delay(retryMs);
  while (!(await applyMigrations()));
  setMigrationsPending(false);
  await startBackgroundWork();
  logger.info("the database answers");
}

/** One sentence for the terminal, never with the connection string, which may hold a password. */
function reasonOf(error: unknown): string {
  const { code, message } = describeError(error);
  if (code && !/^\d/.test(code)) return `the database of DATABASE_URL does not answer (${code}).`;
  return message ?? "the database of DATABASE_URL cannot be used.";
}

async function startBackgroundWork(): Promise<void> {
  startTakeovers();
  startSweeps();
  startCredentialChecks();
  startPublishingStreams();
  await printSetupLink();
  void buildIndexesAndSearch();
  try {
    await refreshSamples();
  } catch (error) {
    logger.warn({ err: error }, "the sample documents could not be stored; the next start tries again");
  }
}

/**
 * Bypasses the logger, whose level may hide it: without the link nobody can sign up first on a
 * remote server.
 */
async function printSetupLink(): Promise<void> {
  try {
    const link = await setupLink();
    if (link) console.log(`Nobody has an account yet. The first one administers this server: ${link}`);
  } catch (error) {
    logger.warn({ err: error }, "the setup link could not be created; the next start prints it");
  }
}

/**
 * Logs what this process holds open for clients. Without clients every figure is 0, except one tail
 * per live turn.
 */
function logOpenCounts(): void {
  const figures = { streams: clientStreams().size, heartbeats: heartbeatCount(), feeds: watchCount() };
  logger.info({ ...figures, ...turnLog().openCounts, turns: turnLog().liveCount }, "open");
}

let shuttingDown = false;

/** Signals may arrive twice: from the terminal to the process group, and from the launcher. */
async function shutDown(): Promise<void> {
  if (shuttingDown) return;
  shuttingDown = true;
  try {
    await drain();
    await closePool();
  } catch (error) {
    logger.error({ err: error }, "shutdown was not clean");
    process.exit(1);
  }
  process.exit(0);
}
