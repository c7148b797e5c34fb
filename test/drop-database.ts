// Drops test databases. Not `with (force)`: it may not end the superuser's autovacuum; a plain drop
// ends it itself and waits for closing connections.
import type { Sql } from "postgres";

/** `sql` is connected to another database of the same server. */
export async function dropDatabase(sql: Sql, name: string): Promise<void> {
  await sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${name} and usename = current_user`;
  await sql.unsafe(`drop database ${name}`);
}
