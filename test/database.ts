// Gives a test file its database: call `testDatabase()` at the top of the file.
import { randomBytes } from "node:crypto";
import postgres, { type Sql } from "postgres";
import { afterAll, beforeAll, inject } from "vitest";
import { closePool } from "@/db/client";
import type { TurnCeilings } from "@/db/usage";
import { dropDatabase } from "./drop-database";

/**
 * Gives the calling test file (or describe block) a fresh, migrated, empty Postgres database;
 * DATABASE_URL points to it from beforeAll to afterAll. Returns a function for its URL, for tests
 * that connect themselves.
 */
export function testDatabase(): () => string {
  const name = `rivulet_test_${randomBytes(8).toString("hex")}`;
  const template = inject("templateUrl");
  const url = withDatabase(template, name);

  beforeAll(async () => {
    await administer(template, (sql) =>
      sql.unsafe(`create database ${name} template ${new URL(template).pathname.slice(1)}`),
    );
    process.env.DATABASE_URL = url;
  });
  afterAll(async () => {
    await closePool();
    await administer(template, (sql) => dropDatabase(sql, name));
  });
  return () => url;
}

/** Same server, different database. */
export function withDatabase(url: string, name: string): string {
  const other = new URL(url);
  other.pathname = `/${name}`;
  return other.href;
}

/** For commands that must run outside the database they affect. */
async function administer(template: string, work: (sql: Sql) => Promise<unknown>): Promise<void> {
  const sql = postgres(withDatabase(template, "postgres"), { max: 1, onnotice: () => {} });
  try {
    await work(sql);
  } finally {
    await sql.end();
  }
}

/** For tests that start turns by the bare statement and are not about ceilings. */
export const noCeilings: TurnCeilings = {
  running: 10_000,
  promptTokens: 0,
  outputTokens: 0,
  budgets: { account: null, guest: null, allGuests: null, server: null },
};
