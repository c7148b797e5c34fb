// Applies the migrations in db/migrations, and learns what the database is. Safe to call from several processes at once: an
// advisory lock makes them queue.
import "server-only";
import path from "node:path";
import { drizzle } from "drizzle-orm/postgres-js";
import { migrate } from "drizzle-orm/postgres-js/migrator";
import postgres from "postgres";
import { expectPooler } from "./client";
import { answerMs, serverLimits, setDatabaseTraits } from "./connect";

/** Any constant will do, as long as every version of Rivulet uses the same one. */
const lockId = 7_305_182_441;

/** Learns what stands at the other end. Throws when the database is out of reach or older than version 15. */
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
    if (row?.version < 150_000)
      throw new Error(`Rivulet needs PostgreSQL 15 or newer; this is ${Math.floor(row?.version / 10_000)}.`);
    setDatabaseTraits({ detectsLostClients: await detectsLostClients(sql) });
    // Who took the connection is not who carries the statement out.
    if (rows.state.pid !== row?.pid) {
      expectPooler();
      await limitRole(sql);
    }
    const unlimited = withoutLimits(sql);
    // Of a transaction, not of the session: a pooler would keep the session, and with it the lock, for ever.
    await unlimited.begin(async (holder) => {
      await holder`select pg_advisory_xact_lock(${lockId})`;
      await migrate(drizzle(unlimited), { migrationsFolder: path.join(process.cwd(), "db/migrations") });
    });
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** Postgres refuses the setting where its platform has no way to do it. */
async function detectsLostClients(sql: postgres.Sql): Promise<boolean> {
  try {
    await sql`select set_config('client_connection_check_interval', '1s', true)`;
    return true;
  } catch (error) {
    if (error instanceof postgres.PostgresError && error.code === "22023") return false;
    throw error;
  }
}

/**
 * A pooler passes no startup parameters on, so the role gets the limits as its own, in this database only. What somebody has
 * set is left as it is. Holds for the connections that the pooler opens from then on.
 */
async function limitRole(sql: postgres.Sql): Promise<void> {
  for (const [name, value] of Object.entries(serverLimits(answerMs)))
    await sql.unsafe(`do $$ begin
      if current_setting('${name}') = '0' then
        execute format('alter role %I in database %I set ${name} = ${value}', current_user, current_database());
      end if;
    end $$`);
}

/** A migration takes as long as it takes, whatever limits the role has, and waits for the locks of those who still serve. */
function withoutLimits(sql: postgres.Sql): postgres.Sql {
  const begin = (work: (tx: postgres.TransactionSql) => Promise<unknown>) =>
    sql.begin(async (tx) => {
      for (const name of Object.keys(serverLimits(answerMs))) await tx`select set_config(${name}, '0', true)`;
      return work(tx);
    });
  return new Proxy(sql, { get: (target, name) => (name === "begin" ? begin : Reflect.get(target, name)) });
}
