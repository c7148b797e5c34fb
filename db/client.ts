// A process's connection pool, opened at the first query: Drizzle for statements, raw postgres.js
// for what Drizzle cannot express. LISTEN and the group commit have their own connections.
import "server-only";
import type { ExtractTablesWithRelations } from "drizzle-orm";
import type { PgDatabase } from "drizzle-orm/pg-core";
import { drizzle, type PostgresJsQueryResultHKT } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { processSingleton } from "@/lib/process-singletons";
import { BoundedClient } from "./bounded-client";
import { databaseTraits, serverLimits, setDatabaseTraits } from "./connect";
import { preparing } from "./prepared";
import * as schema from "./schema";

/** The pool or a transaction on it; both take the same calls. */
export type Database = PgDatabase<PostgresJsQueryResultHKT, typeof schema, ExtractTablesWithRelations<typeof schema>>;
/** Likewise for the raw client. */
export type Statements = postgres.Sql | postgres.TransactionSql;

const maxConnections = 10;
/** Limit for one statement of a sweep. */
const sweepMs = 60_000;

const clients = processSingleton("pool", () => ({
  client: new BoundedClient(maxConnections),
  sweeper: new BoundedClient(1, sweepMs),
  databases: new WeakMap<object, Database>(),
}));

/** For requests and everything that can be retried. */
export function pool(): BoundedClient {
  return clients().client;
}

/** Drizzle on the shared pool. */
export function database(): Database {
  const { client, databases } = clients();
  const { connections } = client;
  let db = databases.get(connections);
  if (!db) {
    db = drizzle(preparing(connections.sql), { schema, casing: "snake_case" });
    databases.set(connections, db);
  }
  return db;
}

/**
 * A transaction for the server's own sweeps, outside the pool: one at a time, with statements of up
 * to a minute. Never for a request.
 */
export function sweep<T>(work: (sql: postgres.TransactionSql) => Promise<T>): Promise<T> {
  return clients().sweeper.sql.begin(async (tx) => {
    // Behind a pooler the role has the request pool's limit.
    await tx`select set_config('statement_timeout', ${String(serverLimits(sweepMs).statement_timeout)}, true)`;
    return work(tx);
  }) as Promise<T>;
}

/** Closes all connections; a later use opens new ones. For shutdown and tests. */
export async function closePool(): Promise<void> {
  const { client, sweeper } = clients();
  await Promise.all([client.close(5), sweeper.close(5)]);
}

/** Stops relying on session state: no prepared statements, no session settings. */
export function expectPooler(): void {
  if (databaseTraits().pooled) return;
  setDatabaseTraits({ pooled: true });
  void closePool();
}

/** True for a unique violation, on this table if one is named. Unwraps Drizzle's errors. */
export function uniqueViolation(error: unknown, table?: "chats" | "turns" | "messages"): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof postgres.PostgresError)
      return cause.code === "23505" && (table === undefined || cause.table_name === table);
  }
  return false;
}
