// Fills a migrated database with a busy installation's data: 218,000 turns, 1,090,000 messages,
// 5,014,000 chunks, 103,000 users and the rest in proportion. Set-based, with indexes and foreign
// keys dropped and restored afterwards; then vacuumed and analyzed.
import { createHash } from "node:crypto";
import postgres from "postgres";
import { foldText, gramsOf } from "@/db/search-text";

/**
 * One heavy user with 100,000 messages: 18,001 chats with one turn each, except the last, which has
 * the remaining 2,000.
 */
export const heavy = {
  userId: "00000000-0000-4000-8000-000000000000",
  chats: 18_001,
  turns: 20_000,
  bigChatId: "chat-0-18001",
  chatId: "chat-0-00009",
};
export const other = { userId: "00000000-0000-4000-8000-000000000007", chatId: "chat-7-00003" };
/** The other users have 60 turns in six chats each. One in eleven has an account. */
const users = 3_301;
/** Guests who came once. Their rows come first in the table. */
const idleGuests = 100_000;
/** As from clients that send a history. */
const messagesPerTurn = 5;
const chunksPerTurn = 23;

const nouns = "river mountain harbour lantern orchard violin granite meadow compass glacier".split(" ");
const verbs = "flows shines rests breaks turns opens waits follows answers returns".split(" ");
const places = "Lisbon Москва 北京市 서울 Kraków القاهرة Oslo Lima Quito Kyoto".split(" ");

/** A thousand different messages, each with a rare word. */
function texts() {
  return Array.from({ length: 1_000 }, (_, n) => {
    const rare = createHash("sha256")
      .update(String(n))
      .digest("base64url")
      .replace(/[^a-z]/g, "");
    const text = `The ${nouns[n % 10]} ${verbs[Math.floor(n / 10) % 10]} near ${places[Math.floor(n / 100)]} ${rare}`;
    return { n, text, grams: gramsOf(foldText(text)), folded: foldText(text) };
  });
}

export async function seed(url: string): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {}, prepare: false });
  try {
    const indexes = await sql`
      select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as definition
      from pg_index join pg_class on pg_class.oid = indrelid
      where relnamespace = 'public'::regnamespace and relname in ('turns', 'messages', 'chats', 'passages') and not indisprimary`;
    const keys = await sql`
      select conrelid::regclass::text as table, conname as name, pg_get_constraintdef(oid) as definition, contype as type
      from pg_constraint
      where connamespace = 'public'::regnamespace and (contype = 'f' or contype = 'p')
        and conrelid::regclass::text in ('turns', 'messages', 'chats', 'turn_chunks', 'passages', 'documents')`;
    await sql.unsafe("set synchronous_commit = off; set maintenance_work_mem = '512MB'; set work_mem = '64MB'");
    for (const { name } of indexes) await sql.unsafe(`drop index ${name}`);
    for (const key of keys.toSorted((a) => (a.type === "f" ? -1 : 1)))
      await sql.unsafe(`alter table ${key.table} drop constraint ${key.name}`);
    await fill(sql);
    for (const { definition } of indexes) await sql.unsafe(definition);
    // Foreign keys are not validated on existing rows: the rows satisfy them.
    for (const key of keys.toSorted((a) => (a.type === "p" ? -1 : 1)))
      await sql.unsafe(
        `alter table ${key.table} add constraint ${key.name} ${key.definition} ${key.type === "f" ? "not valid" : ""}`,
      );
    await sql.unsafe("vacuum analyze");
  } finally {
    await sql.end();
  }
}

async function fill(sql: postgres.Sql): Promise<void> {
  const owner = (number: string) => `('00000000-0000-4000-8000-' || lpad(to_hex(${number}), 12, '0'))::uuid`;
  await sql.unsafe(`
    create temp table texts (n int primary key, text text, folded text, grams bit(2048), words tsvector);
    create temp table places as
      -- Each turn with its owner's number, its chat's and its own within the chat.
      select n as turn, 0 as owner, least(n, ${heavy.chats}) as chat, greatest(0, n - ${heavy.chats}) as turn_in_chat
      from generate_series(1, ${heavy.turns}) as n
      union all
      select ${heavy.turns} + n, 1 + (n - 1) / 60, 1 + (n - 1) % 6, (n - 1) / 6 % 10 from generate_series(1, ${(users - 1) * 60}) as n`);
  await sql`
    insert into texts
    select n, text, folded, grams::bit(2048), to_tsvector('english', folded) || to_tsvector('simple', folded)
    from json_to_recordset(${JSON.stringify(texts())}::text::json) as row (n int, text text, folded text, grams text)`;
  const statements = [
    `insert into users (id, last_seen_at) select ${owner("1048576 + n")}, now() - interval '60 days' + n * interval '1 second'
     from generate_series(1, ${idleGuests}) as n`,
    `insert into users (id, email, last_chat_number, last_task_number)
     select ${owner("n")}, case when n % 11 = 0 then 'user' || n || '@example.org' end, ${heavy.chats}, 200
     from generate_series(0, ${users - 1}) as n`,
    `insert into hidden_samples (user_id, filename) select id, 'README.md' from users where email is null`,
    `insert into sessions (id, user_id, last_seen_at, expires_at, ended_at)
     select ${owner("83886080 + user_number * 12 + n")}, ${owner("user_number")}, now() - n * interval '1 day', now() + interval '1 year',
       case when n % 3 = 0 then now() end
     from generate_series(0, ${users - 1}) as user_number cross join generate_series(1, 12) as n`,
    `insert into token_usage (day, user_id, guest, tokens)
     select (now() at time zone 'UTC')::date - day, ${owner("n")}, n % 11 > 0, 1000
     from generate_series(0, 40) as day cross join generate_series(0, ${users - 1}) as n`,
    `insert into rate_limits (key, uses, expires_at)
     select 'key ' || n, 1, now() + (n % 200 - 100) * interval '1 minute' from generate_series(1, 50000) as n`,
    `insert into chats (user_id, id, number, title, pinned, updated_at)
     select ${owner("owner")}, 'chat-' || owner || '-' || lpad(chat::text, 5, '0'), chat, 'About ' || text, chat % 1000 = 0,
       timestamptz '2026-01-01' + max(turn) * interval '1 second'
     from places join texts on texts.n = (owner * 7 + chat) % 1000 group by owner, chat, text`,
    `insert into turns (id, user_id, chat_id, user_message_id, message_id, client_key, request, state, lease_until, last_seq, created_at, ended_at)
     select ${owner("turn + 16777216")}, ${owner("owner")}, 'chat-' || owner || '-' || lpad(chat::text, 5, '0'),
       'm-' || turn || '-${messagesPerTurn - 2}', 'm-' || turn || '-${messagesPerTurn - 1}', 'key-' || turn,
       '{"model":"local","searchMode":"all"}',
       case when turn % 10000 = 7 then 'running' when turn % 100 = 3 then 'interrupted' else 'complete' end,
       now() + interval '1 day', ${chunksPerTurn}, now() - interval '1 day' - (200000 - turn) * interval '10 seconds',
       case when turn % 10000 <> 7 then now() - (200000 - turn) * interval '1 second' end
     from places`,
    `insert into messages (user_id, id, chat_id, parent_id, turn_id, role, status, parts, text, search_text, search_words, search_grams)
     select ${owner("owner")}, 'm-' || turn || '-' || k, 'chat-' || owner || '-' || lpad(chat::text, 5, '0'),
       case when k > 0 then 'm-' || turn || '-' || k - 1 when turn_in_chat > 0 then
         'm-' || case when owner = 0 then turn - 1 else turn - 6 end || '-${messagesPerTurn - 1}' end,
       case when k = ${messagesPerTurn - 1} then ${owner("turn + 16777216")} end,
       case when k = ${messagesPerTurn - 1} then 'assistant' else 'user' end,
       case when k = ${messagesPerTurn - 1} and turn % 10000 = 7 then 'running' else 'complete' end,
       json_build_array(json_build_object('type', 'text', 'text', text)), text, folded,
       words || array_to_tsvector(array['~' || ${owner("owner")}]), grams
     from places cross join generate_series(0, ${messagesPerTurn - 1}) as k
       join texts on texts.n = (turn * ${messagesPerTurn} + k) % 1000
     order by turn, k`,
    `insert into turn_chunks (turn_id, seq, chunk)
     select ${owner("turn + 16777216")}, seq, '{"type":"text-delta","id":"t","delta":"word "}'
     from places cross join generate_series(1, ${chunksPerTurn}) as seq`,
    `insert into documents (id, user_id, title, filename, media_type, bytes, passage_count, created_at)
     select ${owner("33554432 + n")}, ${owner("case when n <= 2000 then 0 else n % 3000 + 1 end")}, 'Document ' || n, n || '.md',
       'text/markdown', 4000, 10, now() - n * interval '1 minute'
     from generate_series(1, 10000) as n`,
    `insert into storage_uncounted (user_id) select ${owner("n")} from generate_series(0, 99) as n`,
    // Copies of samples, as older versions made them.
    `insert into documents (id, user_id, title, filename, media_type, bytes, passage_count, sample)
     select ${owner("41943040 + n")}, ${owner("n % 3000 + 1")}, 'Sample', 'README.md', 'text/markdown', 4000, 0, true
     from generate_series(1, 3000) as n`,
    `insert into passages (id, document_id, user_id, ordinal, heading, text)
     select ${owner("50331648 + document * 10 + k")}, ${owner("33554432 + document")}, ${owner("case when document <= 2000 then 0 else document % 3000 + 1 end")},
       k, 'Chapter ' || k, text
     from generate_series(1, 10000) as document cross join generate_series(1, 10) as k join texts on texts.n = (document * 10 + k) % 1000`,
    `insert into tokens (id, user_id, name, hash, created_at)
     select ${owner("67108864 + n")}, ${owner("case when n <= 1000 then 0 else n % 3000 + 1 end")}, 'token ' || n, 'hash-' || n,
       now() - n * interval '1 minute'
     from generate_series(1, 100000) as n`,
    `insert into tasks (user_id, number, title)
     select ${owner("n")}, number, 'task' from generate_series(0, ${users - 1}) as n cross join generate_series(1, 20) as number`,
  ];
  for (const statement of statements) await sql.unsafe(statement);
}
