// Applies the migrations in db/migrations. Safe to call from several processes at once: an advisory lock makes them queue.
import "server-only";
import path from "node:path";
import { drizzle } from "drizzle-orm/postgres-js";
import { migrate } from "drizzle-orm/postgres-js/migrator";
import postgres from "postgres";

/** Any constant will do, as long as every version of Rivulet uses the same one. */
const lockId = 7_305_182_441;

/** Throws when the database is out of reach or older than version 15. */
export async function migrateDatabase(url: string): Promise<void> {
  // A connection of its own: the lock belongs to the session and must outlive each statement.
  const sql = postgres(url, {
    max: 1,
    connect_timeout: 10,
    onnotice: () => {},
    connection: { application_name: "rivulet" },
  });
  try {
    const [row] = await sql`select current_setting('server_version_num')::int as version`;
    if (row?.version < 150_000)
      throw new Error(`Rivulet needs PostgreSQL 15 or newer; this is ${Math.floor(row?.version / 10_000)}.`);
    await sql`select pg_advisory_lock(${lockId})`;
    await migrate(drizzle(sql), { migrationsFolder: path.join(process.cwd(), "db/migrations") });
  } finally {
    await sql.end({ timeout: 5 });
  }
}
