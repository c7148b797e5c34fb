// How tests drop their databases. Not `with (force)`: that may not end the autovacuum, which is the superuser's; a plain drop ends it by
// itself, and waits for connections that are being closed.
import type { Sql } from "postgres";

/** `sql` is connected to another database of the same server. */
export async function dropDatabase(sql: Sql, name: string): Promise<void> {
  await sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${name} and usename = current_user`;
  await sql.unsafe(`drop database ${name}`);
}
