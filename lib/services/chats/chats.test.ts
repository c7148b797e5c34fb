import { v7 as uuidv7 } from "uuid";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { indexMessages } from "@/db/chat-search";
import { pool } from "@/db/client";
import { insertUser } from "@/db/users";
import { testDatabase } from "@/test/database";
import { changeChat, chatTitle, createChat, findChat, listChats, requireChat } from "./chats";

testDatabase();

let userId: string;
let otherId: string;
async function newUser(): Promise<string> {
  const id = uuidv7();
  await insertUser({ id, email: null, name: null, passwordHash: null });
  return id;
}
beforeAll(async () => {
  otherId = await newUser();
});
beforeEach(async () => {
  userId = await newUser();
});

async function say(chatId: string, text: string): Promise<void> {
  await pool().sql`
    insert into messages (user_id, id, chat_id, role, parts, text)
    values (${userId}, ${uuidv7()}, ${chatId}, 'user', ${JSON.stringify([{ type: "text", text }])}::text::json, ${text})`;
}

describe("the list", () => {
  it("contains only the caller's chats, pinned first, then by last use", async () => {
    const [a, b, c] = await Promise.all(["a", "b", "c"].map((title) => createChat(userId, { title })));
    await createChat(otherId, { title: "foreign" });
    for (const [chat, time] of [
      [a, "01:00"],
      [b, "03:00"],
      [c, "02:00"],
    ] as const)
      await pool().sql`update chats set updated_at = ${`2026-01-01 ${time}+00`} where id = ${chat?.id as string}`;
    await changeChat(userId, a?.id as string, { pinned: true });
    const { chats, nextCursor } = await listChats(userId);
    expect(chats.map(({ title }) => title)).toEqual(["a", "b", "c"]);
    expect(nextCursor).toBeNull();
    expect(chats[0]).toEqual({
      id: a?.id,
      number: a?.number,
      title: "a",
      pinned: true,
      createdAt: expect.stringMatching(/Z$/),
      updatedAt: "2026-01-01T01:00:00.000Z",
      liveTurnId: null,
    });
  });

  it("pages through every chat once, even with times equal or a microsecond apart", async () => {
    const chats = await Promise.all(Array.from({ length: 13 }, () => createChat(userId, {})));
    for (const [index, { id }] of chats.entries()) {
      const time = `2026-01-01 00:00:00.00000${Math.floor(index / 2)}+00`;
      await pool().sql`update chats set updated_at = ${time}, pinned = ${index % 4 === 0} where id = ${id}`;
    }
    const all = (await listChats(userId)).chats;
    for (const limit of [1, 2, 5, 13, 14]) {
      const seen: typeof all = [];
      let pages = 0;
      for (let cursor: string | null | undefined; cursor !== null; pages++) {
        const page = await listChats(userId, { limit, ...(cursor ? { cursor } : {}) });
        expect(page.chats.length).toBeLessThanOrEqual(limit);
        seen.push(...page.chats);
        cursor = page.nextCursor;
      }
      expect(seen).toEqual(all);
      expect(pages).toBe(Math.ceil(13 / limit));
    }
    expect(all.findIndex(({ pinned }) => !pinned)).toBe(4);
    expect(new Set(all.map(({ id }) => id)).size).toBe(13);
  });

  it.each([
    "",
    "x",
    "🙂",
    ...[
      null,
      {},
      { pinned: 1, updatedAt: "2026-01-01 00:00:00+00", id: "a" },
      { pinned: true, updatedAt: "now", id: "a" },
      { pinned: true, updatedAt: "infinity", id: "a" },
      { pinned: true, updatedAt: "2026-01-01 00:00:00+00'; drop table chats; --", id: "a" },
      { pinned: true, updatedAt: "2026-01-01 00:00:00+00", id: "x".repeat(257) },
    ].map((value) => Buffer.from(JSON.stringify(value)).toString("base64url")),
  ])("rejects the cursor %j", async (cursor) => {
    await expect(listChats(userId, { cursor })).rejects.toMatchObject({ code: "bad_request" });
  });
});

describe("searching", () => {
  it.each<[string, string[]]>([
    ["50%", ["title 50% off"]],
    ["%", ["title 50% off"]],
    ["snake_case", ["title snake_case"]],
    ["_", ["title snake_case"]],
    ["\\", ["title back\\slash"]],
    [`it's`, ["title it's"]],
    [`say "hi"`, ["said"]],
    [`"`, ["said"]],
    ["TITLE SNAKE", ["title snake_case"]],
    ["rivers run", ["said"]],
    ["running river", ["said"]],
    ["river -running", []],
    ["nothing of this", []],
    ["'; drop table chats; --", []],
    ["& | ! :* <->", []],
  ])("for %s", async (q, found) => {
    for (const title of ["title 50% off", "title snake_case", "title back\\slash", "title it's"])
      await createChat(userId, { title });
    const said = await createChat(userId, { title: "said" });
    await say(said.id, `He did say "hi" where rivers run deep.`);
    await say(said.id, "And again: rivers run.");
    await indexMessages(10);
    expect((await listChats(userId, { q })).chats.map(({ title }) => title)).toEqual(found);
  });

  it("I20: finds nothing of other users, and pages like the list", async () => {
    for (const title of ["river 1", "river 2", "river 3"]) await createChat(userId, { title });
    expect((await listChats(otherId, { q: "river" })).chats).toEqual([]);
    const first = await listChats(userId, { q: "river", limit: 2 });
    const second = await listChats(userId, { q: "river", limit: 2, cursor: first.nextCursor as string });
    expect([...first.chats, ...second.chats].map(({ title }) => title)).toEqual(["river 3", "river 2", "river 1"]);
    expect(second.nextCursor).toBeNull();
  });
});

describe("one chat", () => {
  it("I20: is changed only by its owner, and unknown to others", async () => {
    const chat = await createChat(userId, { title: "old" });
    expect(await changeChat(userId, chat.id, { title: "new", pinned: true })).toEqual({
      ...chat,
      title: "new",
      pinned: true,
    });
    expect(await changeChat(userId, chat.id, {})).toMatchObject({ title: "new" });
    for (const change of [{ title: "stolen" }, {}])
      await expect(changeChat(otherId, chat.id, change)).rejects.toMatchObject({ status: 404 });
    await expect(requireChat(otherId, chat.id)).rejects.toMatchObject({ status: 404 });
    await expect(requireChat(userId, uuidv7())).rejects.toMatchObject({ status: 404 });
    expect(await findChat(otherId, chat.id)).toBeNull();
    expect(await findChat(userId, chat.id)).toMatchObject({ title: "new" });
  });

  it("may have the same id as another user's chat", async () => {
    const { id } = await createChat(userId, { title: "mine" });
    await createChat(otherId, { id, title: "theirs" });
    expect([(await requireChat(userId, id)).title, (await requireChat(otherId, id)).title]).toEqual(["mine", "theirs"]);
  });
});

it.each([
  ["  a  ", "a"],
  ["", undefined],
  ["   ", undefined],
  ["x".repeat(200), "x".repeat(200)],
  ["x".repeat(201), undefined],
])("the title %j becomes %j", (title, becomes) => expect(chatTitle.safeParse(title).data).toBe(becomes));
