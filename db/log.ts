// Statements of the durable log. The group commit is one statement for all live turns of a process
// and checks each epoch, so a process that lost its lease changes nothing. All times are the
// database's (docs/reliability.md I10, I16).
import "server-only";
import type { Sql, TransactionSql } from "postgres";
import { pool, sweep } from "./client";

/** NOTIFY channels. Payloads: comma-separated turn ids; one turn id; user id, space, chat id. */
export const turnsChannel = "rivulet_turns";
export const stopsChannel = "rivulet_stops";
export const chatsChannel = "rivulet_chats";

export type AppendRow = {
  turnId: string;
  epoch: number;
  /** Seq of the last row in `chunks`; unchanged when only the lease is renewed. */
  lastSeq: number;
  chunks: { seq: number; json: string }[];
  /**
   * Set with the terminal: the turn's state and message, in the same statement. Null `parts` leave
   * the message unchanged.
   */
  final?: { state: string; error: string | null; usage: FinalUsage } & (
    | { parts: string; metadata: string; text: string }
    | { parts: null; metadata: null; text: null }
  );
};

/** Without `tokens`, usage is estimated: the prompt once per request, plus `written`. */
type FinalUsage = { tokens: number | null; requests: number; written: number };

export type AppendResult = { turnId: string; stopRequested: boolean };

/** A NOTIFY payload is limited to 8000 bytes; a turn id with its comma takes 37. */
const idsPerNotify = 200;

/**
 * Appends chunks, renews leases, ends turns, settles usage and notifies, in one statement. Returns
 * the turns it was allowed to touch; a missing turn was taken over, has ended or is gone. Safe to
 * repeat after a commit with an unknown outcome, also long after later calls: it undoes nothing.
 * CASE hides `state` from the planner, which would underestimate running turns and compare each of
 * them with each row.
 */
export async function commitChunks(
  sql: Sql | TransactionSql,
  rows: AppendRow[],
  leaseMs: number,
): Promise<AppendResult[]> {
  const added = rows.flatMap((row) => row.chunks.map((chunk) => ({ turnId: row.turnId, ...chunk })));
  const final = rows.flatMap((row) => (row.final ? [{ turnId: row.turnId, ...row.final }] : []));
  // A commit without terminals, which is nearly every one, has a constant text.
  const settled =
    final.length === 0
      ? sql``
      : sql`, settled as (
      insert into token_usage (day, user_id, guest, tokens)
      select (live.created_at at time zone 'UTC')::date, live.user_id, users.email is null,
        sum(coalesce(used.tokens, live.prompt_tokens * used.requests + used.written))
      from live
      join unnest(
        ${final.map((row) => row.turnId)}::uuid[], ${final.map((row) => row.usage.tokens)}::bigint[],
        ${final.map((row) => row.usage.requests)}::bigint[], ${final.map((row) => row.usage.written)}::bigint[]
      ) as used (turn_id, tokens, requests, written) on used.turn_id = live.id
      join users on users.id = live.user_id
      where live.reserved_tokens > 0
      group by 1, 2, 3
      -- Servers that settle turns of the same users lock their rows in the same order.
      order by 1, 2
      on conflict (day, user_id) do update set tokens = token_usage.tokens + excluded.tokens
    )`;
  const reserved = final.length === 0 ? sql`` : sql`, turns.created_at, turns.prompt_tokens, turns.reserved_tokens`;
  const result = await sql`
    with input as (
      select * from unnest(
        ${rows.map((row) => row.turnId)}::uuid[], ${rows.map((row) => row.epoch)}::int[], ${rows.map((row) => row.lastSeq)}::int[]
      ) as input (turn_id, epoch, last_seq)
    ), final as (
      select * from unnest(
        ${final.map((row) => row.turnId)}::uuid[], ${final.map((row) => row.state)}::text[], ${final.map((row) => row.error)}::text[],
        ${final.map((row) => row.parts)}::text[], ${final.map((row) => row.metadata)}::text[], ${final.map((row) => row.text)}::text[]
      ) as final (turn_id, state, error, parts, metadata, text)
    ), live as (
      update turns set
        lease_until = now() + ${leaseMs}::int * interval '1 millisecond',
        last_seq = greatest(turns.last_seq, input.last_seq),
        state = coalesce(final.state, 'running'),
        error = final.error::json,
        ended_at = case when final.turn_id is not null then now() end
      from input left join final on final.turn_id = input.turn_id
      where turns.id = input.turn_id and turns.epoch = input.epoch and case when turns.state = 'running' then true end
      returning turns.id, turns.stop_requested_at is not null as stop_requested, turns.user_id, turns.chat_id, turns.ended_at${reserved}
    )${settled}, added as (
      insert into turn_chunks (turn_id, seq, chunk)
      select added.turn_id, added.seq, added.chunk::json
      from unnest(
        ${added.map((row) => row.turnId)}::uuid[], ${added.map((row) => row.seq)}::int[], ${added.map((row) => row.json)}::text[]
      ) as added (turn_id, seq, chunk)
      join live on live.id = added.turn_id
      on conflict do nothing
    ), written as (
      update messages set parts = final.parts::json, metadata = final.metadata::json, text = final.text, status = final.state
      from final join live on live.id = final.turn_id
      where messages.turn_id = final.turn_id and final.parts is not null
    ), groups as (
      select string_agg(id::text, ',') as ids
      from (
        select id, (row_number() over () - 1) / ${idsPerNotify}::int as part
        from live where id = any(${rows.filter((row) => row.chunks.length > 0).map((row) => row.turnId)}::uuid[])
      ) as numbered
      group by part
    ), notified as (
      select count(pg_notify(${turnsChannel}, ids)) as count from groups
    ), announced as (
      select count(pg_notify(${chatsChannel}, user_id || ' ' || chat_id)) as count from live where ended_at is not null
    )
    select live.id, live.stop_requested from live, notified, announced`;
  return result.map((row) => ({ turnId: row.id, stopRequested: row.stop_requested }));
}

/** A turn's position, to learn the outcome of a commit whose answer was lost. */
export type TurnPosition = { turnId: string; epoch: number; state: string; lastSeq: number };

export async function readPositions(sql: Sql, turnIds: string[]): Promise<TurnPosition[]> {
  const rows = await sql`
    select id, epoch, state, last_seq from turns where id = any(${turnIds}::uuid[])`;
  return rows.map((row) => ({ turnId: row.id, epoch: row.epoch, state: row.state, lastSeq: row.last_seq }));
}

/** The running turns among these that were asked to stop. */
export async function listStopRequests(turnIds: string[]): Promise<string[]> {
  const rows = await pool().sql`
    select id from turns where id = any(${turnIds}::uuid[]) and state = 'running' and stop_requested_at is not null`;
  return rows.map((row) => row.id);
}

type ChatKey = { userId: string; chatId: string };

/** For each chat a state string that changes whenever a turn in it begins or ends. */
export async function readChatStates(chats: ChatKey[]): Promise<(ChatKey & { state: string })[]> {
  const rows = await pool().sql`
    select wanted.user_id, wanted.chat_id, concat_ws(' ', chats.updated_at, turns.id) as state
    from unnest(${chats.map(({ userId }) => userId)}::uuid[], ${chats.map(({ chatId }) => chatId)}::text[]) as wanted (user_id, chat_id)
    left join chats on chats.user_id = wanted.user_id and chats.id = wanted.chat_id
    left join turns on turns.user_id = wanted.user_id and turns.chat_id = wanted.chat_id and turns.state = 'running'`;
  return rows.map((row) => ({ userId: row.user_id, chatId: row.chat_id, state: row.state }));
}

export type TurnPage = {
  chunks: { seq: number; json: string }[];
  /** More chunks follow these. */
  more: boolean;
  /** Nothing follows beyond these and `more`: the turn has ended or does not exist. */
  ended: boolean;
};

/**
 * The next chunks of several turns, each from its own position; one page per turn. A page holds
 * about `maxBytes` and a thousand chunks at most, but always the next chunk, however large.
 */
export async function readPages(
  after: { turnId: string; seq: number }[],
  maxBytes: number,
): Promise<Map<string, TurnPage>> {
  const rows = await pool().sql`
    select wanted.turn_id, turns.state, turns.last_seq, page.seq, page.chunk
    from unnest(${after.map((turn) => turn.turnId)}::uuid[], ${after.map((turn) => turn.seq)}::int[]) as wanted (turn_id, seq)
    left join turns on turns.id = wanted.turn_id
    left join lateral (
      select seq, chunk, sum(octet_length(chunk)) over (order by seq) - octet_length(chunk) as bytes_before
      from (
        select seq, chunk::text as chunk from turn_chunks
        where turn_chunks.turn_id = wanted.turn_id and turn_chunks.seq > wanted.seq
        order by seq limit 1000
      ) as next
    ) as page on page.bytes_before < ${maxBytes}::int
    order by wanted.turn_id, page.seq`;
  const pages = new Map<string, TurnPage>();
  for (const row of rows) {
    const page = pages.get(row.turn_id) ?? { chunks: [], more: false, ended: row.state !== "running" };
    if (row.seq !== null) {
      page.chunks.push({ seq: row.seq, json: row.chunk });
      page.more = row.seq < row.last_seq;
    }
    pages.set(row.turn_id, page);
  }
  return pages;
}

/**
 * Gives up running turns for an immediate takeover: a lease of 1970 marks a handover, not a crash.
 * Turns whose epoch has changed stay as they are.
 */
export async function expireLeases(owned: { turnId: string; epoch: number }[]): Promise<void> {
  await pool().sql`
    update turns set lease_until = to_timestamp(0)
    from unnest(${owned.map(({ turnId }) => turnId)}::uuid[], ${owned.map(({ epoch }) => epoch)}::int[]) as owned (turn_id, epoch)
    where turns.id = owned.turn_id and turns.epoch = owned.epoch and turns.state = 'running'`;
}

/** Running turns with an expired lease, longest expired first. */
export async function listExpiredTurns(limit: number): Promise<string[]> {
  const rows = await pool().sql`
    select id from turns where state = 'running' and lease_until < now() order by lease_until limit ${limit}`;
  return rows.map((row) => row.id);
}

export type ClaimedTurn = {
  turnId: string;
  userId: string;
  chatId: string;
  userMessageId: string;
  messageId: string;
  request: unknown;
  createdMs: number;
  /** By the database's clock. */
  ageMs: number;
  epoch: number;
  /** Owners that died while the turn ran, including the last one. */
  crashes: number;
  lastSeq: number;
  stopRequested: boolean;
};

/**
 * Takes over up to `limit` of these turns whose lease has expired: their former owners can append
 * nothing more. Skips turns that another server claimed or is claiming, and those whose owner
 * renewed its lease. Never waits for a lock: its holder may be suspended.
 */
export async function claimExpiredTurns(turnIds: string[], limit: number, leaseMs: number): Promise<ClaimedTurn[]> {
  const rows = await pool().sql`
    update turns set epoch = epoch + 1, lease_until = now() + ${leaseMs}::int * interval '1 millisecond',
      crashes = crashes + (lease_until > to_timestamp(0))::int
    where id = any(array(
      select id from turns where id = any(${turnIds}::uuid[]) and state = 'running' and lease_until < now()
      order by lease_until limit ${limit} for update skip locked
    ))
    returning id as "turnId", user_id as "userId", chat_id as "chatId", user_message_id as "userMessageId", message_id as "messageId", request,
      extract(epoch from created_at)::float8 * 1000 as "createdMs",
      extract(epoch from now() - created_at)::float8 * 1000 as "ageMs", epoch, crashes, last_seq as "lastSeq", stop_requested_at is not null as "stopRequested"`;
  return rows as unknown as ClaimedTurn[];
}

/** For a turn that ended without its message. */
export async function setMessageStatus(turnId: string, status: string): Promise<void> {
  await pool().sql`update messages set status = ${status} where turn_id = ${turnId}`;
}

export type ChunkRow = { turnId: string; seq: number; json: string };

/** Every chunk of these turns, for the fold; in order within a turn. */
export async function readAllChunks(sql: Sql | TransactionSql, turnIds: string[]): Promise<ChunkRow[]> {
  const rows = await sql`
    select turn_id, seq, chunk::text as chunk from turn_chunks where turn_id = any(${turnIds}::uuid[]) order by turn_id, seq`;
  return rows.map((row) => ({ turnId: row.turn_id, seq: row.seq, json: row.chunk }));
}

/** Matches the key at any depth; quotes inside strings are escaped. */
const holdsPrompt = `request::text like '%"prompt":%'`;
/**
 * A turn's request without the client's prompt and tools, which may be megabytes. The rest is read
 * as long as the turn can be followed. Postgres cannot process json with U+0000, so that escape is
 * removed first; a pair of backslashes is matched too, so that the escape is not found inside one.
 */
const requestWithoutPrompt = String.raw`(
  select json_object_agg(key, value)
  from json_each(regexp_replace(request::text, '(\\\\)|\\u0000', '\1', 'g')::json) where key <> 'prompt'
)`;
/** Stored bytes of requests rewritten per statement. */
const maxRequestBytes = 4_194_304;

/** Deletes the chunks and client prompts of turns that ended long ago. Returns how many. */
export async function pruneChunks(keepMs: number, limit: number): Promise<number> {
  const rows = await sweep(
    (sql) => sql`
    with ended as (
      select id, ended_at, pg_column_size(request) as bytes from turns
      where state <> 'running' and pruned_at is null and ended_at < now() - ${keepMs}::bigint * interval '1 millisecond'
      order by ended_at limit ${limit} for update skip locked
    ), old as (
      update turns set pruned_at = now(),
        request = case when ${sql.unsafe(holdsPrompt)} then ${sql.unsafe(requestWithoutPrompt)} else request end
      where id = any(array(
        select id from (select id, sum(bytes) over (order by ended_at, id) - bytes as bytes_before from ended) as sized
        where bytes_before < ${maxRequestBytes}
      ))
      returning id
    ), gone as (
      delete from turn_chunks where turn_id = any(array(select id from old))
    )
    select count(*)::int as count from old`,
  );
  return rows[0]?.count ?? 0;
}

/**
 * Drops the prompts of turns pruned by older versions, in id order. Returns the last id examined,
 * null at the end.
 */
export async function deletePrompts(afterTurnId: string, limit: number): Promise<string | null> {
  const rows = await sweep(
    (sql) => sql`
    with page as (
      select id, pruned_at is not null and ${sql.unsafe(holdsPrompt)} as holds_prompt
      from turns where id > ${afterTurnId}::uuid order by id limit ${limit}
    ), forgotten as (
      update turns set request = ${sql.unsafe(requestWithoutPrompt)}
      where id = any(array(select id from page where holds_prompt))
    )
    select id from page order by id desc limit 1`,
  );
  return rows[0]?.id ?? null;
}

/**
 * Turn ids found in chunks, in id order, and whether each turn is gone. Skips from turn to turn in
 * the primary key, so the cost does not depend on the number of chunks.
 */
export async function listTurnsOfChunks(
  afterTurnId: string,
  limit: number,
): Promise<{ turnId: string; gone: boolean }[]> {
  const rows = await sweep(
    (sql) => sql`
    with recursive named as (
      (select turn_id, 1 as place from turn_chunks where turn_id > ${afterTurnId}::uuid order by turn_id limit 1)
      union all
      select next.turn_id, named.place + 1
      from named cross join lateral (
        select turn_id from turn_chunks where turn_chunks.turn_id > named.turn_id order by turn_id limit 1
      ) as next
      where named.place < ${limit}
    )
    select turn_id, not exists (select from turns where turns.id = named.turn_id) as gone from named order by place`,
  );
  return rows.map((row) => ({ turnId: row.turn_id, gone: row.gone }));
}

/**
 * Deletes up to `limit` chunks of turns that are gone. Such turns get no new chunks: inserts
 * require the turn's row, and ids are never reused. Returns how many it deleted.
 */
export async function deleteOrphanChunks(turnIds: string[], limit: number): Promise<number> {
  const result = await sweep(
    (sql) => sql`
    delete from turn_chunks where (turn_id, seq) in (
      select turn_id, seq from turn_chunks
      where turn_id = any(${turnIds}::uuid[]) and not exists (select from turns where turns.id = turn_chunks.turn_id)
      limit ${limit} for update skip locked
    )`,
  );
  return result.count;
}
