// The one connection pool of a process, made at the first query. Drizzle for statements, the raw postgres.js
// client for what Drizzle has no words for (LISTEN, the group commit).
import "server-only";
import type { ExtractTablesWithRelations } from "drizzle-orm";
import type { PgDatabase } from "drizzle-orm/pg-core";
import { drizzle, type PostgresJsQueryResultHKT } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { preparing } from "./prepared";
import * as schema from "./schema";

/** The pool or a transaction on it: the same calls work on both. */
export type Database = PgDatabase<PostgresJsQueryResultHKT, typeof schema, ExtractTablesWithRelations<typeof schema>>;
export type Pool = { sql: postgres.Sql; db: Database };

// Next bundles each route apart, so a module-level variable would be one pool a route.
const key = Symbol.for("rivulet.pool");
const shared = globalThis as { [key]?: Pool };

export function pool(): Pool {
  shared[key] ??= openPool();
  return shared[key];
}

/** Drizzle on the shared pool. */
export function database(): Database {
  return pool().db;
}

/** Ends all connections; a later call of pool() opens new ones. For shutdown and tests. */
export async function closePool(): Promise<void> {
  const open = shared[key];
  shared[key] = undefined;
  await open?.sql.end({ timeout: 5 });
}

function openPool(): Pool {
  // For requests; LISTEN and the group commit have connections of their own.
  const sql = connect(10);
  return { sql, db: drizzle(preparing(sql), { schema, casing: "snake_case" }) };
}

/** Connections to the database of DATABASE_URL, at most `max`, opened when needed. The caller ends them. */
export function connect(max: number): postgres.Sql {
  const url = process.env.DATABASE_URL;
  if (!url) throw new Error("DATABASE_URL is not set. `npm start` sets it for the embedded database.");
  return postgres(url, {
    max,
    connect_timeout: 10,
    // The driver's own waits up to 20 s before it tries again: too long after the database is back.
    backoff: (retries: number) => Math.min(1, 2 ** retries / 50),
    connection: { application_name: "rivulet" },
    onnotice: () => {},
  });
}

/** True for a row that a unique index refused. Looks through Drizzle's wrapping. */
export function uniqueViolation(error: unknown): boolean {
  return hasCode(error, "23505");
}

/** True for a row whose owner was deleted meanwhile. */
export function foreignKeyViolation(error: unknown): boolean {
  return hasCode(error, "23503");
}

function hasCode(error: unknown, code: string): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof postgres.PostgresError) return cause.code === code;
  }
  return false;
}
