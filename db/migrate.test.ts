// Version mismatches between database and server: rolling upgrades and rollbacks work, the
// incompatible is refused.
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { testDatabase } from "@/test/database";
import { migrateDatabase } from "./migrate";

const url = testDatabase();
let sql: postgres.Sql;
const future = Date.UTC(2100, 0);

beforeAll(() => {
  sql = postgres(url(), { max: 1, onnotice: () => {} });
});
afterAll(() => sql.end());

test("accepts a database of this version repeatedly", async () => {
  const expected = { newerMigrations: 0, superuser: expect.any(Boolean) };
  expect(await migrateDatabase(url())).toEqual(expected);
  expect(await Promise.all([migrateDatabase(url()), migrateDatabase(url())])).toEqual([expected, expected]);
  expect(await sql`select count(*)::int as rows from drizzle.rivulet_floor`).toEqual([{ rows: 1 }]);
});

test("starts on a newer version's compatible schema, and logs it", async () => {
  await sql`insert into drizzle.__drizzle_migrations (hash, created_at) values ('of a newer version', ${future})`;
  expect(await migrateDatabase(url())).toMatchObject({ newerMigrations: 1 });
});

test("refuses a newer version's incompatible schema with an explanation, and changes nothing", async () => {
  await sql`update drizzle.rivulet_floor set floor = ${future}`;
  await expect(migrateDatabase(url())).rejects.toThrow(
    "a newer version of Rivulet has changed this database so that this version cannot use it. Start that version or a newer one, " +
      "or restore a backup from before the upgrade. Nothing was changed.",
  );
  // This version does not lower it either.
  expect(await sql`select floor::float8 from drizzle.rivulet_floor`).toEqual([{ floor: future }]);
  await sql`update drizzle.rivulet_floor set floor = 0`;
  await migrateDatabase(url());
  const [first] = await sql`select min(created_at)::float8 as at from drizzle.__drizzle_migrations`;
  expect(await sql`select floor::float8 as at from drizzle.rivulet_floor`).toEqual([first]);
});

test("reports a superuser role", async () => {
  const [role] = await sql`select rolsuper as superuser from pg_roles where rolname = current_user`;
  expect(await migrateDatabase(url())).toMatchObject(role as object);
});
