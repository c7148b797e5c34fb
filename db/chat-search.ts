// Chat search: by title, by the words of a message, and by any substring of a message. A message
// becomes searchable shortly after it is written, outside the statement that writes it
// (lib/services/chats/search-index.ts).
import "server-only";
import { setImmediate as nextTick } from "node:timers/promises";
import type { ChatCursor, ListedChat } from "./chats";
import { pool, sweep } from "./client";
import { fairShare } from "./fair-share";
import { foldText, gramBits, gramsOf } from "./search-text";

// Each stage of a search is capped: it costs about the same for 100,000 messages as for 10,000.
/** Newest messages per user whose signatures are compared. */
const maxSignatures = 20_000;
/** Matches among them whose text is compared. One or two letters match every message. */
const maxCompared = 2_000;
/** Messages taken from the word index. With more matches the word counts as common: */
const maxWorded = 3_000;
/** then this many chats are scanned in list order until a page is full, */
const maxWalked = 2_000;
/** and this many of the newest messages of each. */
const maxWalkedMessages = 50;

/**
 * A message's lexemes include its owner, so the index intersects the owner's messages with a
 * word's, however often others use the word. English stemming; if only stop words remain, the
 * unstemmed words. Null: no word to search for.
 */
const owner = `('''~' || $1 || '''')::tsquery`;
const english = "websearch_to_tsquery('english', $2)";
const simple = "websearch_to_tsquery('simple', $2)";
const wordQuery = `case
  when numnode(${english}) > 0 then ${owner} && ${english}
  when numnode(${simple}) > 0 then ${owner} && ${simple}
end`;

const behindCursor = "($6::boolean is null or (pinned, updated_at, id) < ($6::boolean, $7::timestamptz, $8::text))";
const inOrder = "order by pinned desc, updated_at desc, id desc";

const searchStatement = `
  with worded as materialized (
    select chat_id from messages where user_id = $1::uuid and search_words @@ (${wordQuery}) limit ${maxWorded + 1}
  ), walked as materialized (
    select walking.id from (
      select id from chats where user_id = $1::uuid and listed and ${behindCursor} ${inOrder} limit ${maxWalked}
    ) as walking cross join lateral (
      select from (
        select search_words from messages where user_id = $1::uuid and chat_id = walking.id
        order by position desc limit ${maxWalkedMessages}
      ) as newest where search_words @@ (${wordQuery}) limit 1
    ) as hit
    where (select count(*) from worded) > ${maxWorded}
    limit $9::int
  ), said as materialized (
    select chat_id from worded
    union
    select id from walked
    union
    select chat_id from (
      select user_id, chat_id, position from (
        select user_id, chat_id, position, search_grams from messages
        where user_id = $1::uuid and search_grams is not null order by position desc limit ${maxSignatures}
      ) as recent
      where search_grams & $3::bit(${gramBits}) = $3::bit(${gramBits})
      order by position desc limit ${maxCompared}
    ) as fitting join messages using (user_id, chat_id, position)
    where messages.search_text like $4
  )
  select user_id as "userId", id, number, title, pinned, created_at::text as "createdAt", updated_at::text as "updatedAt", (
    select turns.id from turns where turns.user_id = chats.user_id and turns.chat_id = chats.id and turns.state = 'running'
  ) as "liveTurnId"
  from chats
  where user_id = $1::uuid and listed and (title ilike $5 or id in (select chat_id from said)) and ${behindCursor}
  ${inOrder}
  limit $9::int`;

type Found = Omit<ListedChat, "createdAt" | "updatedAt"> & { createdAt: string; updatedAt: string };

/** In the order of the chat list. */
export async function searchChats(
  userId: string,
  { query, after, limit }: { query: string; after?: ChatCursor; limit: number },
): Promise<(ListedChat & { cursor: ChatCursor })[]> {
  const folded = foldText(query);
  const words = query.toWellFormed().replaceAll("\0", " ");
  const values = [userId, words, gramsOf(folded), pattern(folded), pattern(words)];
  const position = [after?.pinned ?? null, after?.updatedAt ?? null, after?.id ?? null];
  // `unsafe` does not prepare: only a plan for this query can estimate its matches.
  const rows = await fairShare(userId, () =>
    pool().sql.unsafe<Found[]>(searchStatement, [...values, ...position, limit]),
  );
  return rows.map(({ createdAt, updatedAt, ...row }) => ({
    ...row,
    createdAt: new Date(createdAt),
    updatedAt: new Date(updatedAt),
    cursor: { pinned: row.pinned, updatedAt, id: row.id },
  }));
}

function pattern(text: string): string {
  return `%${text.replace(/[\\%_]/g, "\\$&")}%`;
}

/** Makes up to `limit` finished messages searchable, newest first. Returns how many. */
export function indexMessages(limit: number): Promise<number> {
  return sweep(async (sql) => {
    const found = await sql`
      select user_id, id, left(text, 20000) as text from messages
      where search_text is null and status <> 'running'
      order by position desc limit ${limit} for update skip locked`;
    const texts: string[] = [];
    const grams: string[] = [];
    for (const { text } of found) {
      const folded = foldText(text);
      texts.push(folded);
      grams.push(gramsOf(folded));
      await nextTick();
    }
    await sql`
      update messages set search_text = found.text, search_grams = found.grams::bit(2048),
        search_words = to_tsvector('english', found.text) || to_tsvector('simple', found.text)
          || array_to_tsvector(array['~' || found.user_id])
      from unnest(
        ${found.map((row) => row.user_id)}::uuid[], ${found.map(({ id }) => id)}::text[], ${texts}::text[], ${grams}::text[]
      ) as found (user_id, id, text, grams)
      where messages.user_id = found.user_id and messages.id = found.id`;
    return found.length;
  });
}
