import { v7 as uuidv7 } from "uuid";
import { beforeEach, describe, expect, it } from "vitest";
import { testDatabase } from "@/test/database";
import { indexMessages, searchChats } from "./chat-search";
import { type ChatCursor, insertChat } from "./chats";
import { pool } from "./client";
import { foldText, gramsOf } from "./search-text";
import { insertUser } from "./users";

testDatabase();

let userId: string;
beforeEach(async () => {
  userId = await newUser();
});

async function newUser(): Promise<string> {
  const id = uuidv7();
  await insertUser({ id, email: null, name: null, passwordHash: null });
  return id;
}

async function newChat(owner = userId): Promise<string> {
  const id = uuidv7();
  await pool().sql.begin((sql) => insertChat(sql, { userId: owner, id, title: "untitled" }));
  return id;
}

async function say(text: string, { chatId, owner = userId, status = "complete" }: Options = {}): Promise<string> {
  const id = chatId ?? (await newChat(owner));
  await pool().sql`
    insert into messages (user_id, id, chat_id, role, status, parts, text)
    values (${owner}, ${uuidv7()}, ${id}, 'user', ${status}, '[]', ${text})`;
  return id;
}
type Options = { chatId?: string; owner?: string; status?: string };

const find = async (query: string, owner = userId) =>
  (await searchChats(owner, { query, limit: 100 })).map(({ id }) => id);
const index = async () => {
  while ((await indexMessages(50)) === 50);
};

describe("finds a message", () => {
  it.each([
    ["by a whole word", "The weather in Lisbon", "weather"],
    ["by another form of an English word", "Rivers run deep", "running river"],
    ["by a stop word", "To be or not to be", "not to"],
    ["by the beginning of a word", "the internationalisation", "internat"],
    ["by the middle of a word", "the internationalisation", "ionalis"],
    ["by one letter", "xylophone", "x"],
    ["by two letters", "xylophone", "ph"],
    ["by a symbol", "50 % off", "%"],
    ["by code", "call foo_bar(baz)", "_bar("],
    ["across a line break", "first line\n\nsecond line", "line second"],
    ["in any letter case, even in Greek", "ΑΘΗΝΑ", "αθήνα".normalize("NFD").replace(/\p{M}/gu, "")],
    ["in Russian", "Какая погода в Москве?", "погода"],
    ["by part of a Russian word", "переименование", "имен"],
    ["by two Chinese characters", "长江是中国最长的河流，全长约六千三百公里。", "河流"],
    ["by one Chinese character", "长江是中国最长的河流。", "河"],
    ["in Japanese", "東京タワーの高さは何メートルですか", "高さ"],
    ["in Korean", "대한민국의 수도는 서울입니다", "서울"],
    ["in Thai", "กรุงเทพมหานครเป็นเมืองหลวง", "เมือง"],
    ["in Arabic", "القاهرة هي عاصمة مصر", "عاصمة"],
    ["by part of an Arabic word", "القاهرة هي عاصمة مصر", "قاهر"],
    ["in Hindi", "दिल्ली भारत की राजधानी है", "राजधानी"],
    ["by an emoji", "well done 🎉🎉", "🎉"],
    ["in full width", "ＡＢＣ store", "abc"],
  ])("%s", async (_, text, query) => {
    const found = await say(text);
    await say("something else entirely");
    await index();
    expect(await find(query)).toEqual([found]);
  });

  it("by its beginning when it is too long to index: 900 kB of distinct words do not fail", async () => {
    const long = Array.from({ length: 110_000 }, (_, n) => `w${(n * 7919).toString(36)}`).join(" ");
    expect(long.length).toBeGreaterThan(600_000);
    const found = await say(`beginning ${long}${" tail".repeat(60_000)}`);
    await index();
    expect(await find("beginning")).toEqual([found]);
    expect(await find(`w${(7919 * 900).toString(36)}`)).toEqual([found]);
    expect(await find("untitled")).toHaveLength(1);
  });

  it("in every matching chat once, and by title before indexing", async () => {
    const chatId = await say("one heron");
    await say("another heron", { chatId });
    const other = await say("herons");
    await index();
    expect((await find("heron")).toSorted()).toEqual([chatId, other].toSorted());
    const titled = uuidv7();
    await pool().sql.begin((sql) => insertChat(sql, { userId, id: titled, title: "Grey heron" }));
    expect((await find("heron")).toSorted()).toEqual([chatId, other, titled].toSorted());
  });

  it("only for its owner, even when others use the same words", async () => {
    const other = await newUser();
    const mine = await say("a kingfisher");
    const theirs = await say("a kingfisher", { owner: other });
    await index();
    for (const query of ["kingfisher", "ngfi", "k", `~${userId}`, "-heron"]) {
      expect(await find(query)).not.toContain(theirs);
      expect(await find(query, other)).not.toContain(mine);
    }
    expect(await find("kingfisher")).toEqual([mine]);
    expect(await find("kingfisher", other)).toEqual([theirs]);
  });
});

describe("a user with thousands of matching messages", () => {
  /** One message per chat, in chronological order of the chats; returns their ids in list order. */
  async function sayOften(text: string, messages: number, chats: number): Promise<string[]> {
    const folded = foldText(text);
    const rows = await pool().sql`
      with made as (
        insert into chats (user_id, id, number, title, updated_at)
        select ${userId}::uuid, ${uuidv7()}::text || n, coalesce((select max(number) from chats where user_id = ${userId}), 0) + n,
          'untitled', clock_timestamp() + n * interval '1 millisecond'
        from generate_series(1, ${chats}::int) as n
        returning id, updated_at
      ), said as (
        insert into messages (user_id, id, chat_id, role, parts, text, search_text, search_words, search_grams)
        select ${userId}::uuid, made.id || k, made.id, 'user', '[]', ${text}, ${folded},
          to_tsvector('english', ${folded}) || array_to_tsvector(array['~' || ${userId}]), ${gramsOf(folded)}::bit(2048)
        from made cross join generate_series(1, ${messages}::int / ${chats}::int) as k order by made.updated_at
      )
      select id from made order by updated_at desc`;
    return rows.map(({ id }) => id);
  }

  it("pages through matching chats in list order, however many older messages match", async () => {
    const old = await sayOften("a common heron", 3_600, 2);
    await sayOften("something else", 200, 100);
    const recent = await sayOften("a common heron again", 120, 120);
    const seen: string[] = [];
    let after: ChatCursor | undefined;
    for (let page = 0; page < 3; page++) {
      const found = await searchChats(userId, { query: "herons", after, limit: 40 });
      seen.push(...found.map(({ id }) => id));
      after = found.at(-1)?.cursor;
    }
    expect(seen).toEqual(recent);
    expect((await searchChats(userId, { query: "herons", after, limit: 40 })).map(({ id }) => id)).toEqual(old);
  });

  it("finds a whole word in the oldest message, and part of a word in the newest 20,000", async () => {
    const [oldest] = await sayOften("a lonely bittern", 1, 1);
    const [within] = await sayOften("a second dotterel", 1, 1);
    await sayOften("something else", 20_000 - 1, 1);
    expect(await find("bittern")).toEqual([oldest]);
    expect(await find("ttern")).toEqual([]);
    expect(await find("tterel")).toEqual([within]);
  });
});

it.each([
  "",
  " ",
  "'",
  "''",
  "\\",
  "~",
  "' | '",
  "a & !b",
  "<->",
  "\u0000",
  "\ud800",
  "🙂".repeat(50),
  "x".repeat(200),
])("the query %j is plain text", async (query) => {
  await say("nothing of this");
  await index();
  await expect(find(query)).resolves.toBeInstanceOf(Array);
});

describe("indexing", () => {
  it("skips an answer until it is finished", async () => {
    const chatId = await say("half a cormorant", { status: "running" });
    await index();
    expect(await find("cormorant")).toEqual([]);
    await pool().sql`update messages set status = 'complete' where chat_id = ${chatId}`;
    await index();
    expect(await find("cormorant")).toEqual([chatId]);
  });

  it("is shared by servers: each takes different messages", async () => {
    await index();
    for (let n = 0; n < 40; n++) await say(`message ${n}`);
    const counts = await Promise.all([indexMessages(30), indexMessages(30), indexMessages(30)]);
    expect(counts.reduce((sum, count) => sum + count)).toBe(40);
    expect(await indexMessages(30)).toBe(0);
  });
});
