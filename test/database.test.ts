import { expect, test } from "vitest";
import { pool } from "@/db/client";
import { testDatabase } from "./database";

const url = testDatabase();

test("every test file gets its own migrated database", async () => {
  expect(process.env.DATABASE_URL).toBe(url());
  const [row] = await pool().sql`select current_database() as name, (select count(*)::int from users) as users`;
  expect(row).toEqual({ name: new URL(url()).pathname.slice(1), users: 0 });
});
