import { expect, it } from "vitest";
import { pool } from "@/db/client";
import { createChat } from "@/lib/services/chats/chats";
import { testDatabase } from "@/test/database";
import { exportAccount } from "./export";
import { createGuest } from "./users";

testDatabase();

it("reads a page of rows only after the previous one was consumed, so memory stays at one page", async () => {
  const { sql } = pool();
  const { id: userId } = await createGuest("203.0.113.9");
  const { id: chatId } = await createChat(userId, {});
  await sql`
    insert into messages (user_id, id, chat_id, role, parts)
    select ${userId}, 'message-' || n, ${chatId}, 'user', '[]'::json from generate_series(1, 100) as n`;
  const lines = exportAccount(userId);
  const next = async () => JSON.parse((await lines.next()).value as string) as { type: string; id?: string };
  const types: string[] = [];
  for (let count = 0; count < 5; count++) types.push((await next()).type);
  expect(types).toEqual(["account", "chat", "message", "message", "message"]);
  // If it had read ahead, it would export rows that are gone by now.
  await sql`delete from messages where user_id = ${userId} and id <> 'message-1'`;
  const rest: string[] = [];
  for await (const line of lines) rest.push(JSON.parse(line).id ?? JSON.parse(line).type);
  expect(rest.at(-1)).toBe("end");
  expect(rest).not.toContain("message-60");
});
