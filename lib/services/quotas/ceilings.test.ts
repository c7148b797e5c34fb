// Storage ceilings, at and just below the limit, with concurrent adds: each test uses as many
// connections as the pool has, as several servers on one database do.
import { v7 as uuidv7 } from "uuid";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { pool } from "@/db/client";
import { storageFull } from "@/lib/ceilings";
import { turnLog } from "@/lib/log/turn-log";
import { deleteDocument, ingestDocument } from "@/lib/retrieval/ingest";
import { createChat, deleteChat } from "@/lib/services/chats/chats";
import { startTurn } from "@/lib/services/turns/start";
import { createToken, revokeToken, tokenInput } from "@/lib/services/users/users";
import { testDatabase } from "@/test/database";

process.env.MAX_RUNNING_TURNS = "100";
process.env.RATE_LIMITS = "off";
process.env.MODELS = "local";
process.env.MAX_CHATS = "5";
process.env.MAX_ACCESS_TOKENS = "4";
process.env.MAX_DOCUMENTS = "3";
process.env.MAX_STORED_BYTES = "20000";
testDatabase();
afterAll(() => turnLog().close(0));

let userId: string;
beforeEach(async () => {
  userId = uuidv7();
  await pool().sql`insert into users (id) values (${userId})`;
});

/**
 * The results of the successful calls; the others must have been refused for this ceiling, with a
 * sentence that says what to do.
 */
async function made<T>(calls: Promise<T>[], sentence: RegExp): Promise<T[]> {
  const results = await Promise.allSettled(calls);
  for (const result of results.filter(({ status }) => status === "rejected")) {
    const refusal = storageFull((result as PromiseRejectedResult).reason);
    expect(refusal).toMatchObject({ code: "storage_full", status: 413 });
    expect(refusal?.publicMessage).toMatch(sentence);
  }
  return results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
}

const many = <T>(count: number, add: (index: number) => Promise<T>) => Array.from({ length: count }, (_, n) => add(n));
const file = (bytes: number) => ({ filename: "a.txt", bytes: new TextEncoder().encode("word ".repeat(bytes / 5)) });

async function storedBytes(): Promise<number> {
  const [row] = await pool().sql`
    select coalesce(sum(bytes), 0)::int as bytes from storage_changes where user_id = ${userId}`;
  return row?.bytes;
}

describe("the chat limit", () => {
  const full = /^You have 5 chats, .* Nothing was stored; delete a chat/;

  it("keeps exactly the limit of twelve concurrent creations", async () => {
    await createChat(userId, {});
    expect(
      await made(
        many(12, () => createChat(userId, {})),
        full,
      ),
    ).toHaveLength(4);
    const [row] = await pool().sql`select count(*)::int as chats from chats where user_id = ${userId}`;
    expect(row?.chats).toBe(5);
  });

  it("frees a slot when a chat is deleted, and does not affect other users", async () => {
    const [first] = await made(
      many(6, () => createChat(userId, {})),
      full,
    );
    await deleteChat(userId, first?.id as string);
    expect(
      await made(
        many(2, () => createChat(userId, {})),
        full,
      ),
    ).toHaveLength(1);
    userId = uuidv7();
    await pool().sql`insert into users (id) values (${userId})`;
    await createChat(userId, {});
  });
});

it("the token limit keeps four of nine concurrent creations, and revoking one frees a slot", async () => {
  const full = /^You have 4 tokens, .* None was created; revoke one/;
  const add = () => createToken(userId, tokenInput.parse({}));
  const [first, ...others] = await made(many(9, add), full);
  expect(others).toHaveLength(3);
  await revokeToken(userId, first?.id as string);
  expect(await made(many(2, add), full)).toHaveLength(1);
});

describe("the document limits", () => {
  it("keep three of four concurrent uploads, and deleting one frees a slot", async () => {
    const full = /^You have 3 documents, .* not stored; delete one/;
    const add = () => ingestDocument(userId, file(100));
    const [first, ...others] = await made(many(4, add), full);
    expect(others).toHaveLength(2);
    await deleteDocument(userId, first?.id as string);
    expect(await made(many(2, add), full)).toHaveLength(1);
    const [row] = await pool().sql`
      select count(distinct document_id)::int as documents from passages where user_id = ${userId}`;
    expect(row?.documents).toBe(3);
  });

  it("hold for total bytes across concurrent uploads, and deleting frees space", async () => {
    const full = /more than 20000 bytes, .* Nothing was stored; delete chats or documents/;
    const kept = await made(
      many(3, () => ingestDocument(userId, file(9_000))),
      full,
    );
    expect(kept).toHaveLength(2);
    expect(await storedBytes()).toBe(18_000);
    expect(await made([ingestDocument(userId, file(2_005))], full)).toHaveLength(0);
    await ingestDocument(userId, file(2_000));
    for (const { id } of kept) await deleteDocument(userId, id);
    expect(await storedBytes()).toBe(2_000);
  });
});

describe("the limits on a send", () => {
  const running: Promise<void>[] = [];
  afterEach(async () => {
    await Promise.all(running.splice(0));
  });

  function send(chatId: string, text: string) {
    const message = { id: uuidv7(), parts: [{ type: "text" as const, text }] };
    const request = {
      trigger: "submit-message" as const,
      chatId,
      message,
      clientKey: message.id,
      searchMode: "none" as const,
    };
    return startTurn(userId, request, (work) => void running.push(work));
  }

  it("start five of twelve concurrent new chats, and leave nothing of the others", async () => {
    const full = /^You have 5 chats, .* Nothing was stored; delete a chat/;
    expect(
      await made(
        many(12, () => send(uuidv7(), "Hi")),
        full,
      ),
    ).toHaveLength(5);
    const [row] = await pool().sql`
      select (select count(*)::int from chats where user_id = ${userId}) as chats,
        (select count(*)::int from turns where user_id = ${userId}) as turns,
        (select count(*)::int from messages where user_id = ${userId} and role = 'user') as questions`;
    expect(row).toEqual({ chats: 5, turns: 5, questions: 5 });
  });

  it("do not stop questions to an existing chat at the chat limit", async () => {
    const [chat] = await Promise.all(many(5, () => createChat(userId, {})));
    expect(await send(chat?.id as string, "Hi")).toMatchObject({ state: "running" });
  });

  it("hold for total bytes across concurrent sends, and deleting a chat frees space", async () => {
    const full = /more than 20000 bytes, .* Nothing was stored; delete chats or documents/;
    const text = "x".repeat(6_000);
    const turns = await made(
      many(5, () => send(uuidv7(), text)),
      full,
    );
    expect(turns).toHaveLength(3);
    await Promise.all(running.splice(0));
    await made([send(uuidv7(), text)], full).then((more) => expect(more).toEqual([]));
    await deleteChat(userId, turns[0]?.chatId as string);
    expect(await made([send(uuidv7(), text)], full)).toHaveLength(1);
  });

  it("count exactly what is stored after answers, deletions and many changes", async () => {
    const stored = async () => {
      const [row] = await pool().sql`
        select coalesce(sum(octet_length(parts::text) + coalesce(octet_length(metadata::text), 0)), 0)::int as bytes
        from messages where user_id = ${userId}`;
      return row?.bytes;
    };
    const turn = await send(uuidv7(), "What is Rivulet?");
    await Promise.all(running.splice(0));
    expect(await stored()).toBeGreaterThan(100);
    expect(await storedBytes()).toBe(await stored());
    // More changes than are kept as separate rows: the next send merges them.
    for (let n = 0; n < 120; n++)
      await pool()
        .sql`update messages set parts = ${JSON.stringify([{ type: "text", text: n % 2 ? "Hi" : "Hello" }])}::text::json where id = ${turn.userMessageId}`;
    await send(turn.chatId, "And now?");
    await Promise.all(running.splice(0));
    expect(await storedBytes()).toBe(await stored());
    const [rows] = await pool().sql`select count(*)::int as count from storage_changes where user_id = ${userId}`;
    expect(rows?.count).toBeLessThan(10);
    await deleteChat(userId, turn.chatId);
    expect([await stored(), await storedBytes()]).toEqual([0, 0]);
  });

  it("a deleted user leaves no counters", async () => {
    await send(uuidv7(), "Hi");
    await Promise.all(running.splice(0));
    await ingestDocument(userId, file(100));
    await pool().sql`delete from users where id = ${userId}`;
    const rows = await pool().sql`select from storage_changes where user_id = ${userId}`;
    expect(rows).toHaveLength(0);
  });
});
