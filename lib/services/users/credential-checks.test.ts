import { v7 as uuidv7 } from "uuid";
import { expect, it } from "vitest";
import { pool } from "@/db/client";
import { endSession, insertSession, listEndedSessions } from "@/db/sessions";
import { insertUser } from "@/db/users";
import { testDatabase } from "@/test/database";

testDatabase();

it("I24: one statement checks all sessions of a process and returns those that ended", async () => {
  const { sql } = pool();
  const userId = uuidv7();
  await insertUser({ id: userId, email: null, name: null, passwordHash: null });
  const [live, ended, expired] = [uuidv7(), uuidv7(), uuidv7()] as const;
  for (const id of [live, ended, expired]) await insertSession(sql, { id, userId, userAgent: "" });
  await endSession(userId, ended);
  await sql`update sessions set expires_at = now() where id = ${expired}`;
  const key = (id: string, change = {}) => ({ id, userId, version: 1, rowless: false, ...change });
  const [rowless, gone, old, foreign] = [uuidv7(), uuidv7(), uuidv7(), uuidv7()] as const;
  const asked = [
    key(live),
    key(ended),
    key(expired),
    key(rowless, { rowless: true }),
    key(gone),
    key(old, { rowless: true, version: 2 }),
    key(foreign, { rowless: true, userId: uuidv7() }),
  ];
  expect((await listEndedSessions(asked)).sort()).toEqual([ended, expired, gone, old, foreign].sort());
});
