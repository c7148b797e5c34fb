import { v7 as uuidv7 } from "uuid";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { pool } from "@/db/client";
import { listBranch } from "@/db/messages";
import { insertUser } from "@/db/users";
import { textOf } from "@/lib/turn/fold";
import { testDatabase } from "@/test/database";
import { createChat } from "./chats";
import { listMessages, listStoredMessages } from "./messages";

testDatabase();

let userId: string;
let chatId: string;

beforeAll(async () => {
  userId = uuidv7();
  await insertUser({ id: userId, email: null, name: null, passwordHash: null });
});
beforeEach(async () => {
  chatId = (await createChat(userId, {})).id;
});

/** Adds a message after `parent`; returns its id. */
async function add(text: string, parent: string | null, role = "user"): Promise<string> {
  const id = uuidv7();
  await pool().sql`
    insert into messages (user_id, id, chat_id, parent_id, role, parts, text)
    values (${userId}, ${id}, ${chatId}, ${parent}, ${role}, ${JSON.stringify([{ type: "text", text }])}::text::json, ${text})`;
  return id;
}

/** q1, a1, q2, a2 … */
async function converse(count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 1; n <= count; n++)
    ids.push(await add(`${n % 2 ? "q" : "a"}${Math.ceil(n / 2)}`, ids.at(-1) ?? null, n % 2 ? "user" : "assistant"));
  return ids;
}

const limits = { maxMessages: 100, maxBytes: 1_000_000 };
const page = async (query: Parameters<typeof listMessages>[2]) => {
  const { messages, nextCursor } = await listMessages(userId, chatId, query);
  return { texts: messages.map(textOf), nextCursor };
};

describe("the messages of a chat", () => {
  it("are paged from the end, each page oldest first, every message once", async () => {
    const ids = await converse(7);
    const first = await page({ limit: 3 });
    expect(first).toEqual({ texts: ["q3", "a3", "q4"], nextCursor: ids[3] });
    const second = await page({ limit: 3, cursor: ids[3] });
    expect(second).toEqual({ texts: ["a1", "q2", "a2"], nextCursor: ids[0] });
    expect(await page({ limit: 3, cursor: ids[0] })).toEqual({ texts: ["q1"], nextCursor: null });
  });

  it("have their state, including answers a client sent as history", async () => {
    await converse(2);
    const { messages } = await listMessages(userId, chatId);
    expect(messages.map(({ role, metadata }) => [role, metadata])).toEqual([
      ["user", undefined],
      ["assistant", { status: "complete" }],
    ]);
  });

  it("are 50 by default", async () => {
    await converse(52);
    expect((await page({})).texts).toHaveLength(50);
    expect((await page({ limit: 100 })).texts).toHaveLength(52);
  });

  it("are those of the current branch: a regenerated answer hides its sibling, which a cursor still reaches", async () => {
    const question = await add("question", null);
    const first = await add("first answer", question, "assistant");
    await add("answer again", question, "assistant");
    expect((await page({})).texts).toEqual(["question", "answer again"]);
    expect((await page({ cursor: first })).texts).toEqual(["question", "first answer"]);
  });

  it("of an empty chat are an empty list", async () => expect(await page({})).toEqual({ texts: [], nextCursor: null }));

  it("I20: ignore a cursor that is not a message of this chat", async () => {
    const elsewhere = await add("elsewhere", null);
    chatId = (await createChat(userId, {})).id;
    for (const cursor of [elsewhere, uuidv7(), "", "'; drop table messages; --"])
      await expect(page({ cursor })).rejects.toMatchObject({ code: "bad_request" });
    await expect(listMessages(uuidv7(), chatId)).rejects.toMatchObject({ status: 404 });
  });

  it("in a dialect's list are the newest 200", async () => {
    await converse(203);
    const listed = await listStoredMessages(userId, chatId);
    expect([listed.length, textOf(listed[0] ?? { parts: [] })]).toEqual([200, "a2"]);
  });
});

describe("a branch", () => {
  it("ends at the byte limit, and always includes its leaf", async () => {
    const large = await add("x".repeat(500), await add("y".repeat(500), null));
    const leaf = await add("z", large);
    const lengths = async (maxBytes: number, leafId = leaf) =>
      (await listBranch(userId, chatId, { ...limits, maxBytes, leafId })).map(({ text }) => text.length);
    expect(await lengths(10_000)).toEqual([500, 500, 1]);
    expect(await lengths(800)).toEqual([500, 1]);
    expect(await lengths(10)).toEqual([1]);
    expect(await lengths(10, large)).toEqual([500]);
  });

  it("begins where a parent is missing, and terminates on a cycle of parents", async () => {
    await add("lost", "gone-gone");
    expect(await listBranch(userId, chatId, limits)).toHaveLength(1);
    const [a, b] = await converse(2);
    await pool().sql`update messages set parent_id = ${b as string} where id = ${a as string}`;
    expect(await listBranch(userId, chatId, limits)).toHaveLength(100);
  });

  it("of an unknown leaf is empty", async () =>
    expect(await listBranch(userId, chatId, { ...limits, leafId: "unknown-leaf" })).toEqual([]));
});
