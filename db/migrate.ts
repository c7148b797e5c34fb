// Applies the migrations in db/migrations and detects the database's traits. Safe to call from
// several processes at once: an advisory lock serializes them.
import { advisoryLocks } from "./advisory-locks";
import "server-only";
import { readFileSync } from "node:fs";
import path from "node:path";
import { drizzle } from "drizzle-orm/postgres-js";
import { migrate } from "drizzle-orm/postgres-js/migrator";
import postgres from "postgres";
import { expectPooler } from "./client";
import { answerTimeoutMs, serverLimits, setDatabaseTraits } from "./connect";

const migrationsFolder = path.join(process.cwd(), "db/migrations");
/**
 * The oldest migration a server must know to serve this version's schema. Raise it with any
 * migration that removes or changes what older servers use
 * (docs/decisions/0017-versions-of-the-database.md).
 */
const oldestServing = "0000_init";

/** Facts a server reports at startup. */
export type DatabaseReport = {
  /** Applied migrations of a newer version; this one can still serve. */
  newerMigrations: number;
  /** The role may do far more than Rivulet needs. */
  superuser: boolean;
};

/**
 * Also detects the database's traits. Throws when the database is unreachable, older than version
 * 15, or changed by a newer version of Rivulet that this one cannot serve.
 */
export async function migrateDatabase(url: string): Promise<DatabaseReport> {
  const sql = postgres(url, {
    // One connection holds the lock while the other works.
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
    // The connection's backend is not the one that executed the statement: a pooler.
    if (rows.state.pid !== row?.pid) {
      expectPooler();
      await limitRole(sql);
    }
    const [role] = await sql`select rolsuper as superuser from pg_roles where rolname = current_user`;
    let newerMigrations = 0;
    const unlimited = withoutLimits(sql);
    // Transaction-scoped: a pooler would keep the session, and with it the lock, for ever.
    await unlimited.begin(async (holder) => {
      await holder`select pg_advisory_xact_lock(${advisoryLocks.migrations})`;
      newerMigrations = await requireServable(sql);
      await migrate(drizzle(unlimited), { migrationsFolder });
      await recordFloor(sql);
    });
    return { newerMigrations, superuser: role?.superuser ?? false };
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** Creation times of the known migrations, which order them, by name. */
function knownMigrations(): Map<string, number> {
  const { entries } = JSON.parse(readFileSync(path.join(migrationsFolder, "meta/_journal.json"), "utf8")) as {
    entries: { tag: string; when: number }[];
  };
  return new Map(entries.map(({ tag, when }) => [tag, when]));
}

/** The number of applied migrations unknown to this version. Throws when it is too old. */
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

/** Kept beside Drizzle's own table: what the applied migrations require. Never lowered. */
async function recordFloor(sql: postgres.Sql): Promise<void> {
  const floor = knownMigrations().get(oldestServing) as number;
  await sql`create table if not exists drizzle.rivulet_floor (singleton bool primary key default true check (singleton), floor bigint not null)`;
  await sql`
    insert into drizzle.rivulet_floor (floor) values (${floor}::bigint)
    on conflict (singleton) do update set floor = greatest(rivulet_floor.floor, excluded.floor)
    where rivulet_floor.floor < excluded.floor`;
}

/** Postgres refuses the setting on platforms that do not support it. */
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
 * A pooler drops startup parameters, so the role gets the limits as its own, in this database only.
 * Existing settings stay. Applies to connections that the pooler opens from then on.
 */
async function limitRole(sql: postgres.Sql): Promise<void> {
  for (const [name, value] of Object.entries(serverLimits(answerTimeoutMs)))
    await sql.unsafe(`do $$ begin
      if current_setting('${name}') = '0' then
        execute format('alter role %I in database %I set ${name} = ${value}', current_user, current_database());
      end if;
    end $$`);
}

/** Migrations ignore the role's limits and wait for the locks of servers still running. */
function withoutLimits(sql: postgres.Sql): postgres.Sql {
  const begin = (work: (tx: postgres.TransactionSql) => Promise<unknown>) =>
    sql.begin(async (tx) => {
      for (const name of Object.keys(serverLimits(answerTimeoutMs))) await tx`select set_config(${name}, '0', true)`;
      return work(tx);
    });
  return new Proxy(sql, { get: (target, name) => (name === "begin" ? begin : Reflect.get(target, name)) });
}
