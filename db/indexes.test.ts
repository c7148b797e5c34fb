import postgres from "postgres";
import { afterAll, beforeAll, expect, it } from "vitest";
import { testDatabase } from "@/test/database";
import { buildIndexes } from "./indexes";

const url = testDatabase();
let sql: postgres.Sql;

beforeAll(async () => {
  sql = postgres(url(), { max: 5, onnotice: () => {} });
  await sql`create table letters (id int primary key, letter text not null)`;
  await sql`insert into letters select n, chr(97 + n % 26) from generate_series(1, 500) as n`;
});
afterAll(() => sql.end());

const index = (name: string, definition = "(letter)") => ({ name, table: "letters", definition });
const build = (name: string, definition?: string) =>
  buildIndexes(url(), { indexes: [index(name, definition)], retired: [], pollMs: 250 });

async function find(name: string) {
  const [row] = await sql`
    select indisvalid as valid, pg_get_indexdef(indexrelid) as definition
    from pg_index where indexrelid = to_regclass(${name})`;
  return row;
}

/**
 * A concurrent build waits for older transactions: holds one open until the returned function is
 * called.
 */
async function holdBuilds(): Promise<() => Promise<unknown>> {
  const reading = Promise.withResolvers<void>();
  const read = Promise.withResolvers<void>();
  const earlier = sql.begin("isolation level repeatable read", async (tx) => {
    await tx`select count(*) from letters`;
    reading.resolve();
    await read.promise;
  });
  await reading.promise;
  return () => {
    read.resolve();
    return earlier;
  };
}

const waitingBuilds = () => sql`
  select phase from pg_stat_progress_create_index where datname = current_database() and phase like 'waiting%'`;

it("builds every index of the application, and drops replaced ones", async () => {
  await buildIndexes(url());
  const [row] = await sql`
    select count(*) filter (where not indisvalid)::int as invalid, to_regclass('turns_of_chat') is not null as built,
      to_regclass('chats_user_id_updated_at_index') is null as retired
    from pg_index`;
  expect(row).toEqual({ invalid: 0, built: true, retired: true });
});

it("drops and rebuilds an index whose build was interrupted", async () => {
  // Fails mid-build, like a killed build: the index stays, invalid.
  await expect(sql.unsafe("create unique index concurrently letters_left on letters (letter)")).rejects.toThrow();
  expect(await find("letters_left")).toMatchObject({ valid: false });
  await build("letters_left");
  expect(await find("letters_left")).toMatchObject({
    valid: true,
    definition: "CREATE INDEX letters_left ON public.letters USING btree (letter)",
  });
});

it("allows concurrent writes during the build, and indexes them", async () => {
  const release = await holdBuilds();
  const built = build("letters_live");
  await expect.poll(waitingBuilds).toHaveLength(1);
  await sql`insert into letters values (1001, 'ß')`;
  await sql`update letters set letter = 'þ' where id = 1`;
  expect(await find("letters_live")).toMatchObject({ valid: false });
  await Promise.all([release(), built]);
  expect(await find("letters_live")).toMatchObject({ valid: true });
  const found = await sql.begin(async (tx) => {
    await tx`set local enable_seqscan = off`;
    return tx`select id from letters where letter in ('ß', 'þ') order by id`;
  });
  expect(found.map(({ id }) => id)).toEqual([1, 1001]);
});

it("runs on one server at a time: all resolve, and the index is built once", async () => {
  await Promise.all(Array.from({ length: 4 }, () => build("letters_once")));
  expect(await find("letters_once")).toMatchObject({ valid: true });
});

it("waits for the build of a dead server instead of dropping its index", async () => {
  const release = await holdBuilds();
  const orphan = sql.unsafe("create index concurrently letters_orphan on letters (letter)").execute();
  await expect.poll(waitingBuilds).toHaveLength(1);
  const [before] = await sql`select 'letters_orphan'::regclass::oid as oid`;
  const built = build("letters_orphan");
  await expect
    .poll(() => sql`select from pg_locks where not granted and relation = 'letters'::regclass`)
    .toHaveLength(1);
  await Promise.all([release(), orphan, built]);
  const [after] = await sql`select 'letters_orphan'::regclass::oid as oid`;
  expect(after).toEqual(before);
  expect(await find("letters_orphan")).toMatchObject({ valid: true });
});

it("rejects with the database's error, and continues when called again", async () => {
  await expect(build("letters_wrong", "(no_such_column)")).rejects.toThrow("no_such_column");
  await build("letters_wrong", "(letter)");
  expect(await find("letters_wrong")).toMatchObject({ valid: true });
});
