// The connection pool of a process, made at the first query: Drizzle for statements, the raw postgres.js client for what
// Drizzle has no words for. LISTEN and the group commit have connections of their own.
import "server-only";
import type { ExtractTablesWithRelations } from "drizzle-orm";
import type { PgDatabase } from "drizzle-orm/pg-core";
import { drizzle, type PostgresJsQueryResultHKT } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { BoundedClient } from "./bounded-client";
import { databaseTraits, serverLimits, setDatabaseTraits } from "./connect";
import { preparing } from "./prepared";
import * as schema from "./schema";

/** The pool or a transaction on it: the same calls work on both. */
export type Database = PgDatabase<PostgresJsQueryResultHKT, typeof schema, ExtractTablesWithRelations<typeof schema>>;
/** The same for the client's own words. */
export type Statements = postgres.Sql | postgres.TransactionSql;

const maxConnections = 10;
/** What one statement of a sweep may take. */
const sweepMs = 60_000;

// Next bundles each route apart, so a module-level variable would be one pool a route.
const key = Symbol.for("rivulet.pool");
type Shared = { client: BoundedClient; sweeper: BoundedClient; databases: WeakMap<object, Database> };
const shared = globalThis as { [key]?: Shared };

function open(): Shared {
  shared[key] ??= {
    client: new BoundedClient(maxConnections),
    sweeper: new BoundedClient(1, sweepMs),
    databases: new WeakMap(),
  };
  return shared[key];
}

/** For requests and whatever may be asked again. */
export function pool(): BoundedClient {
  return open().client;
}

/** Drizzle on the shared pool. */
export function database(): Database {
  const { client, databases } = open();
  const { connections } = client;
  let db = databases.get(connections);
  if (!db) {
    db = drizzle(preparing(connections.sql), { schema, casing: "snake_case" });
    databases.set(connections, db);
  }
  return db;
}

/**
 * A transaction for the server's own sweeps, apart from the pool: one at a time, and a statement may take most of a minute.
 * Never for a request.
 */
export function sweep<T>(work: (sql: postgres.TransactionSql) => Promise<T>): Promise<T> {
  return open().sweeper.sql.begin(async (tx) => {
    // Behind a pooler the role has the pool's limit.
    await tx`select set_config('statement_timeout', ${String(serverLimits(sweepMs).statement_timeout)}, true)`;
    return work(tx);
  }) as Promise<T>;
}

/** Ends all connections; a later use opens new ones. For shutdown and tests. */
export async function closePool(): Promise<void> {
  await Promise.all([shared[key]?.client.close(5), shared[key]?.sweeper.close(5)]);
}

/** From here on no connection relies on being the same one for two transactions: no prepared statements, no session settings. */
export function expectPooler(): void {
  if (databaseTraits().pooled) return;
  setDatabaseTraits({ pooled: true });
  void closePool();
}

/** True for a row that a unique index refused, of this table if one is named. Looks through Drizzle's wrapping. */
export function uniqueViolation(error: unknown, table?: "chats" | "turns" | "messages"): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof postgres.PostgresError)
      return cause.code === "23505" && (table === undefined || cause.table_name === table);
  }
  return false;
}
