// Applies the migrations in db/migrations. Safe to call from several processes at once: an advisory lock makes them queue.
import "server-only";
import path from "node:path";
import { drizzle } from "drizzle-orm/postgres-js";
import { migrate } from "drizzle-orm/postgres-js/migrator";
import postgres from "postgres";
import { expectPooler } from "./client";

/** Any constant will do, as long as every version of Rivulet uses the same one. */
const lockId = 7_305_182_441;

/** Also learns whether a pooler stands in between. Throws when the database is out of reach or older than version 15. */
export async function migrateDatabase(url: string): Promise<void> {
  const sql = postgres(url, {
    // One holds the lock while the other works.
    max: 2,
    prepare: false,
    connect_timeout: 10,
    onnotice: () => {},
    connection: { application_name: "rivulet" },
  });
  try {
    const rows = await sql`select current_setting('server_version_num')::int as version, pg_backend_pid() as pid`;
    const [row] = rows;
    // Who took the connection is not who carries the statement out.
    if (rows.state.pid !== row?.pid) expectPooler();
    if (row?.version < 150_000)
      throw new Error(`Rivulet needs PostgreSQL 15 or newer; this is ${Math.floor(row?.version / 10_000)}.`);
    // Of a transaction, not of the session: a pooler would keep the session, and with it the lock, for ever.
    await sql.begin(async (holder) => {
      await holder`select pg_advisory_xact_lock(${lockId})`;
      await migrate(drizzle(sql), { migrationsFolder: path.join(process.cwd(), "db/migrations") });
    });
  } finally {
    await sql.end({ timeout: 5 });
  }
}
