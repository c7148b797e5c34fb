// Applies the migrations in db/migrations, and learns what the database is. Safe to call from several processes at once: an
// advisory lock makes them queue.
import "server-only";
import { readFileSync } from "node:fs";
import path from "node:path";
import { drizzle } from "drizzle-orm/postgres-js";
import { migrate } from "drizzle-orm/postgres-js/migrator";
import postgres from "postgres";
import { expectPooler } from "./client";
import { answerMs, serverLimits, setDatabaseTraits } from "./connect";

/** Any constant will do, as long as every version of Rivulet uses the same one. */
const lockId = 7_305_182_441;

const migrationsFolder = path.join(process.cwd(), "db/migrations");
/**
 * The oldest migration that a server must know to serve the schema of this version. Raise it with a migration that removes or
 * changes what older servers use (docs/decisions/0017-versions-of-the-database.md).
 */
const oldestServing = "0000_init";

/** What a server should tell at its start. */
export type DatabaseReport = {
  /** Migrations of a newer version that were applied; this one still serves. */
  newerMigrations: number;
  /** The role may do far more than Rivulet needs. */
  superuser: boolean;
};

/**
 * Also learns what stands at the other end. Throws when the database is out of reach, older than version 15, or changed by a
 * newer version of Rivulet in a way that this one cannot serve.
 */
export async function migrateDatabase(url: string): Promise<DatabaseReport> {
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
    const [role] = await sql`select rolsuper as superuser from pg_roles where rolname = current_user`;
    let newerMigrations = 0;
    const unlimited = withoutLimits(sql);
    // Of a transaction, not of the session: a pooler would keep the session, and with it the lock, for ever.
    await unlimited.begin(async (holder) => {
      await holder`select pg_advisory_xact_lock(${lockId})`;
      newerMigrations = await requireServable(sql);
      await migrate(drizzle(unlimited), { migrationsFolder });
      await recordFloor(sql);
    });
    return { newerMigrations, superuser: role?.superuser ?? false };
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** When the known migrations were made, which orders them, by name. */
function knownMigrations(): Map<string, number> {
  const { entries } = JSON.parse(readFileSync(path.join(migrationsFolder, "meta/_journal.json"), "utf8")) as {
    entries: { tag: string; when: number }[];
  };
  return new Map(entries.map(({ tag, when }) => [tag, when]));
}

/** The number of applied migrations that this version does not know. Throws when it is too old for them. */
async function requireServable(sql: postgres.Sql): Promise<number> {
  const newest = Math.max(...knownMigrations().values());
  const [made] = await sql`
    select to_regclass('drizzle.__drizzle_migrations') as migrations, to_regclass('drizzle.rivulet_floor') as floor`;
  if (!made?.migrations) return 0;
  const [applied] =
    await sql`select count(*)::int as newer from drizzle.__drizzle_migrations where created_at > ${newest}::bigint`;
  const [floor] = made.floor ? await sql`select floor::float8 as floor from drizzle.rivulet_floor` : [];
  if (floor?.floor > newest)
    throw new Error(
      "a newer version of Rivulet has changed this database so that this version cannot use it. Start that version or a newer one, " +
        "or restore a backup from before the upgrade. Nothing was changed.",
    );
  return applied?.newer ?? 0;
}

/** Beside Drizzle's own table, so that it says what the applied migrations ask for. It never goes down. */
async function recordFloor(sql: postgres.Sql): Promise<void> {
  const floor = knownMigrations().get(oldestServing) as number;
  await sql`create table if not exists drizzle.rivulet_floor (singleton bool primary key default true check (singleton), floor bigint not null)`;
  await sql`
    insert into drizzle.rivulet_floor (floor) values (${floor}::bigint)
    on conflict (singleton) do update set floor = greatest(rivulet_floor.floor, excluded.floor)
    where rivulet_floor.floor < excluded.floor`;
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
