// What background sweeps delete, and what they must keep.
import { randomUUID } from "node:crypto";
import { beforeEach, describe, expect, it } from "vitest";
import { pool } from "@/db/client";
import { pruneChunks } from "@/db/log";
import { insertTask } from "@/db/tasks";
import { findTurn, type TurnRow } from "@/db/turns";
import { claimIdleGuests } from "@/db/users";
import { requireUser } from "@/lib/auth";
import { withClientStream } from "@/lib/client-streams";
import { ingestDocument } from "@/lib/retrieval/ingest";
import { loadTurnContext } from "@/lib/services/turns/load-turn-context";
import { createGuest, createToken, signUp, signUpInput } from "@/lib/services/users/users";
import { testDatabase } from "@/test/database";
import { countMissingBytes, sweepChunks, sweepGuests, sweepPrompts, sweepStatelessChats } from "./sweep";

testDatabase();

const address = "203.0.113.9";
const sql = () => pool().sql;
const count = async (table: string, userId: string) =>
  (await sql().unsafe(`select count(*)::int as rows from ${table} where user_id = $1`, [userId]))[0]?.rows;

beforeEach(async () => {
  await sql()`truncate users cascade`;
  await sql()`truncate turn_chunks`;
});

/** An ended turn with its question, answer and this many chunks. */
async function addTurn(
  userId: string,
  { chunks = 3, request = {} as object, state = "complete", chatId = randomUUID() } = {},
) {
  const id = randomUUID();
  await sql()`insert into chats (user_id, id, number, title) values (${userId}, ${chatId}, ${Math.floor(Math.random() * 2e9)}, 'Chat')`;
  await sql()`
    insert into turns (id, user_id, chat_id, user_message_id, message_id, client_key, request, state, lease_until, ended_at)
    values (${id}, ${userId}, ${chatId}, 'q', 'a', ${id}, ${JSON.stringify({ model: "local", ...request })}::text::json, ${state}, now() + interval '1 hour',
      now() - interval '2 hours')`;
  await sql()`insert into messages (user_id, id, chat_id, turn_id, role, parts) values (${userId}, ${id}, ${chatId}, ${id}, 'assistant', '[]')`;
  await sql()`insert into turn_chunks (turn_id, seq, chunk) select ${id}, seq, '{}' from generate_series(1, ${chunks}) as seq`;
  return id;
}

async function chunksOf(turnId: string): Promise<number> {
  return (await sql()`select count(*)::int as rows from turn_chunks where turn_id = ${turnId}`)[0]?.rows;
}

describe("bytes stored before the database counted them", () => {
  const bytesOf = async (userId: string) =>
    (
      await sql()`
        select (select coalesce(sum(bytes), 0)::int from storage_changes where user_id = ${userId}) as counted,
          (select coalesce(sum(octet_length(parts::text) + coalesce(octet_length(metadata::text), 0)), 0)::int
            from messages where user_id = ${userId})
          + (select coalesce(sum(bytes), 0)::int from documents where user_id = ${userId}) as stored`
    )[0];

  it("are counted once by any number of servers, including concurrent writes", async () => {
    const users = await Promise.all(Array.from({ length: 12 }, () => createGuest(address)));
    for (const { id } of users) {
      for (let turn = 0; turn < 3; turn++) await addTurn(id);
      await sql()`
        insert into documents (id, user_id, title, filename, media_type, bytes, passage_count)
        values (${randomUUID()}, ${id}, 'Old', 'old.txt', 'text/plain', 1000, 0)`;
    }
    // As the migration leaves it.
    await sql()`delete from storage_changes`;
    await sql()`insert into storage_uncounted (user_id) select id from users`;
    const [first, second, gone] = users.map(({ id }) => id) as [string, string, string];
    await addTurn(first);
    await sql()`delete from messages where user_id = ${second}`;
    await sql()`delete from users where id = ${gone}`;
    expect((await bytesOf(second))?.counted).toBeLessThan(0);

    await Promise.all([countMissingBytes(), countMissingBytes(), addTurn(first), countMissingBytes()]);
    for (const { id } of users) {
      const bytes = await bytesOf(id);
      expect(bytes?.counted).toBe(bytes?.stored);
    }
    expect((await bytesOf(first))?.counted).toBeGreaterThan(0);
    expect(await sql()`select from storage_uncounted`).toEqual([]);
    // Nobody is counted twice.
    const before = await bytesOf(first);
    await countMissingBytes();
    expect(await bytesOf(first)).toEqual(before);
  });
});

describe("prompts of pruned turns", () => {
  /** jsonb cannot store U+0000. */
  const prompt = {
    messages: [],
    instructions: "long \0 instructions, \\u0000 is no escape",
    settings: {},
    tools: [{ name: "t", parameters: {} }],
  };
  const request = { modelName: "gpt", view: { includeUsage: true }, chatTitle: "A \\u0000 title", begunSeq: 2, prompt };

  it("are deleted with the chunks; other options stay, and the turn can still be followed", async () => {
    const { id: userId } = await createGuest(address);
    const turnId = await addTurn(userId, { request });
    const plain = await addTurn(userId);
    const before = await loadTurnContext((await findTurn(userId, turnId)) as TurnRow, "turn");
    expect(await pruneChunks(3_600_000, 10)).toBe(2);
    const turn = (await findTurn(userId, turnId)) as TurnRow;
    const { prompt: _, ...kept } = request;
    expect(turn.request).toEqual({ model: "local", ...kept });
    expect(await loadTurnContext(turn, "turn")).toEqual(before);
    expect((await findTurn(userId, plain))?.request).toEqual({ model: "local" });
  });

  it("are found for turns that an older version pruned, and stay for other turns", async () => {
    const { id: userId } = await createGuest(address);
    const [pruned, kept] = [await addTurn(userId, { request }), await addTurn(userId, { request })];
    await sql()`update turns set pruned_at = now() where id = ${pruned}`;
    await sweepPrompts();
    expect((await findTurn(userId, pruned))?.request).not.toHaveProperty("prompt");
    expect((await findTurn(userId, kept))?.request).toHaveProperty("prompt", prompt);
  });
});

it("chats of stateless calls are deleted a day after last use with everything in them; listed ones stay", async () => {
  const user = await createGuest(address);
  const chats = { forgotten: randomUUID(), recent: randomUUID(), listed: randomUUID() };
  const turns = await Promise.all(Object.values(chats).map((chatId) => addTurn(user.id, { chatId })));
  await sql()`update chats set updated_at = now() - interval '25 hours' where id <> ${chats.recent}`;
  await sql()`update chats set listed = false where id <> ${chats.listed}`;
  await sweepStatelessChats();
  const left = await sql()`select id from chats where user_id = ${user.id}`;
  expect(new Set(left.map(({ id }) => id))).toEqual(new Set([chats.recent, chats.listed]));
  expect(await Promise.all(turns.map(chunksOf))).toEqual([0, 3, 3]);
  expect(await count("messages", user.id)).toBe(2);
});

describe("chunks of deleted turns", () => {
  it("are deleted for turns removed by SQL, however many; others stay", async () => {
    const guests = await Promise.all([1, 2].map(() => createGuest(address)));
    const [gone, kept] = guests.map(({ id }) => id) as [string, string];
    const turnIds = [];
    for (let turn = 0; turn < 5; turn++) turnIds.push(await addTurn(gone, { chunks: turn === 0 ? 12_000 : 2 }));
    const keptId = await addTurn(kept);
    await sql()`delete from users where id = ${gone}`;
    expect(await chunksOf(turnIds[0] as string)).toBe(12_000);
    await sweepChunks();
    expect(await sql()`select turn_id from turn_chunks group by turn_id`).toEqual([{ turn_id: keptId }]);
    expect(await chunksOf(keptId)).toBe(3);
  });
});

describe("inactive guests", () => {
  const away = (userId: string, days: number) =>
    sql()`update users set last_seen_at = now() - ${days}::int * interval '1 day' where id = ${userId}`;
  const bearer = (token: string) => new Request("http://localhost/", { headers: { authorization: `Bearer ${token}` } });
  const isThere = async (userId: string) => (await sql()`select from users where id = ${userId}`).length === 1;

  it("I24: are deleted with everything after too long", async () => {
    const { id: userId } = await createGuest(address);
    const { token } = await createToken(userId, { name: "t" });
    const turnId = await addTurn(userId);
    for (let chat = 0; chat < 5; chat++) await addTurn(userId);
    await ingestDocument(userId, { filename: "a.md", bytes: new TextEncoder().encode("# Own\n\nText.") });
    await insertTask(userId, { title: "Task", description: "" }, 100);
    await sql()`insert into sessions (id, user_id, expires_at) values (${randomUUID()}, ${userId}, now() + interval '1 year')`;
    await away(userId, 31);
    await sweepGuests(30);
    expect(await isThere(userId)).toBe(false);
    for (const table of ["chats", "messages", "turns", "documents", "passages", "tasks", "tokens", "sessions"])
      expect([table, await count(table, userId)]).toEqual([table, 0]);
    expect(await chunksOf(turnId)).toBe(0);
    await expect(requireUser(bearer(token))).rejects.toMatchObject({ status: 401 });
  });

  it("are kept while active, with an account, or with a running turn", async () => {
    const recent = await createGuest(address);
    await away(recent.id, 29);
    const account = await signUp(signUpInput.parse({ email: "a@example.com", password: "correct horse" }), {
      address,
      local: true,
    });
    await away(account.id, 400);
    const running = await createGuest(address);
    await addTurn(running.id, { state: "running" });
    await away(running.id, 400);
    const { token } = await createToken(running.id, { name: "t" });
    await sweepGuests(30);
    for (const { id } of [recent, account, running]) expect(await isThere(id)).toBe(true);
    // The running guest keeps its credentials.
    expect(await requireUser(bearer(token))).toMatchObject({ id: running.id });
  });

  it("are kept while a page of theirs is open, however old its request", async () => {
    const guest = await createGuest(address);
    const { token } = await createToken(guest.id, { name: "t" });
    const page = new AbortController();
    const request = new Request(bearer(token), { signal: page.signal });
    await requireUser(request);
    await away(guest.id, 400);
    await withClientStream(request, guest, async (stream) => {
      return new Response(stream.events({ heartbeatMs: 3_600_000, next: () => new Promise(() => {}) }));
    });
    await sweepGuests(30);
    expect(await isThere(guest.id)).toBe(true);
    page.abort();
    await away(guest.id, 31);
    await sweepGuests(30);
    expect(await isThere(guest.id)).toBe(false);
  });

  it("are marked active by each request, written once an hour", async () => {
    const guest = await createGuest(address);
    const { token } = await createToken(guest.id, { name: "t" });
    const written = async () => (await sql()`select xmin::text from users where id = ${guest.id}`)[0]?.xmin;
    const before = await written();
    await requireUser(bearer(token));
    expect(await written()).toBe(before);
    await away(guest.id, 40);
    await requireUser(bearer(token));
    await sweepGuests(30);
    expect(await isThere(guest.id)).toBe(true);
    const seen = await written();
    await requireUser(bearer(token));
    expect(await written()).toBe(seen);
  });

  it("I24: lose all credentials before any of their data is deleted", async () => {
    const { id: userId } = await createGuest(address);
    const { token } = await createToken(userId, { name: "t" });
    await sql()`insert into sessions (id, user_id, expires_at) values (${randomUUID()}, ${userId}, now() + interval '1 year')`;
    await addTurn(userId);
    await away(userId, 31);
    expect(await claimIdleGuests(30, 10)).toEqual([userId]);
    for (const table of ["tokens", "sessions"]) expect([table, await count(table, userId)]).toEqual([table, 0]);
    expect(await count("chats", userId)).toBe(1);
    await expect(requireUser(bearer(token))).rejects.toMatchObject({ status: 401 });
    // A server may stop here: later rounds, of several servers at once, finish the job.
    await Promise.all([sweepGuests(30), sweepGuests(30), sweepGuests(30)]);
    await sweepGuests(30);
    expect(await isThere(userId)).toBe(false);
  });
});
