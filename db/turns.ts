// Statements on turns besides the log's: starting, finding, and requesting a stop.
import "server-only";
import { and, desc, eq, getTableColumns, sql } from "drizzle-orm";
import type { TransactionSql } from "postgres";
import { database, pool, type Statements } from "./client";
import { chatsChannel } from "./log";
import type { NewMessage } from "./messages";
import { turns } from "./schema";
import { type TurnCeilings, TurnRefused } from "./usage";

/** `ageMs`: time since its start by the database's clock; 0 for a turn that starts now. */
export type TurnRow = typeof turns.$inferSelect & { ageMs?: number };

const turnColumns = {
  ...getTableColumns(turns),
  ageMs: sql<number>`extract(epoch from clock_timestamp() - ${turns.createdAt})::float8 * 1000`,
};

export type NewTurn = Pick<
  TurnRow,
  "id" | "userId" | "chatId" | "userMessageId" | "messageId" | "clientKey" | "request"
> &
  Partial<Pick<TurnRow, "fingerprint" | "lastSeq">>;

/** What a send needs to know before it is stored. */
export type SendState = {
  /** The turn that started with this key. */
  turnId: string | null;
  chat: {
    id: string;
    title: string;
    /** To the microsecond; changes whenever a turn starts in the chat. */
    updatedAt: string;
    /** The newest message. */
    last: { id: string; role: "user" | "assistant"; parentId: string | null } | null;
  } | null;
};

export async function readSendState(
  userId: string,
  clientKey: string,
  wanted: { id: string } | { number: number },
): Promise<SendState> {
  const { sql } = pool();
  const [row] = await sql`
    select turns.id as turn_id, chats.id as chat_id, chats.title, chats.updated_at::text as updated_at,
      last.id as last_id, last.role, last.parent_id
    from (select ${userId}::uuid as user_id) as asking
    left join turns on turns.user_id = asking.user_id and turns.client_key = ${clientKey}
    left join chats on chats.user_id = asking.user_id and ${
      "id" in wanted ? sql`chats.id = ${wanted.id}` : sql`chats.number = ${wanted.number}`
    }
    left join lateral (
      select id, role, parent_id from messages
      where messages.user_id = chats.user_id and messages.chat_id = chats.id order by position desc limit 1
    ) as last on true`;
  if (!row?.chat_id) return { turnId: row?.turn_id ?? null, chat: null };
  const last = row.last_id === null ? null : { id: row.last_id, role: row.role, parentId: row.parent_id };
  return { turnId: row.turn_id, chat: { id: row.chat_id, title: row.title, updatedAt: row.updated_at, last } };
}

/** A message created with the turn, in its chat. */
export type TurnMessage = Omit<NewMessage, "userId" | "chatId">;

/**
 * Where a turn starts: a new chat with the user's next number, or an existing one; with
 * `updatedAt`, only if it still matches. Unless `listed` is false the chat is listed from then on.
 */
export type TurnChat = ({ newTitle: string } | { updatedAt?: string }) & { listed?: boolean };

/**
 * Stores the turn with its new messages and notifies the chat's watchers, atomically in one
 * statement. The turn comes first: its unique indexes decide between equal and competing sends
 * before anything else is written. Null when the chat or user does not exist. Violates a unique
 * index of `chats` when the chat or its number is taken, `turns_one_per_key` or
 * `turns_one_running_per_chat` when there is already such a turn, that of `messages` when a message
 * id is used. Throws TurnRefused when a ceiling leaves no room; `admit_turn` locks the user's row
 * and, for budgets of several users, the whole server, so concurrent sends cannot exceed one
 * together. Raises RV001 when the user's stored chats or bytes would exceed theirs.
 */
export async function insertTurn(
  sql: Statements,
  turn: NewTurn,
  chat: TurnChat,
  messages: TurnMessage[],
  ceilings: TurnCeilings,
  leaseMs: number,
): Promise<TurnRow | null> {
  const { userId, chatId, fingerprint = null, lastSeq = 0 } = turn;
  const request = JSON.stringify(turn.request);
  const json = (value: unknown) => (value === null ? null : JSON.stringify(value));
  const { budgets, outputTokens, chats = null, storedBytes = null } = ceilings;
  const bytes = messages.flatMap(({ parts, metadata }) => [json(parts) ?? "", json(metadata) ?? ""]);
  const bytesToCome = bytes.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  const place =
    "newTitle" in chat
      ? sql`counted as (
          update users set last_chat_number = last_chat_number + 1 from admitted
          where id = ${userId}::uuid and admitted.refusal is null returning id, last_chat_number
        ), chat as (
          insert into chats (user_id, id, number, title, listed)
          select id, ${chatId}::text, last_chat_number, ${chat.newTitle}::text, ${chat.listed ?? true}::boolean from counted
          returning user_id, id
        )`
      : sql`chat as (
          update chats set updated_at = now(), listed = listed or ${chat.listed ?? true}::boolean from admitted
          where user_id = ${userId}::uuid and id = ${chatId}::text and admitted.refusal is null
            and updated_at = coalesce(${chat.updatedAt ?? null}::timestamptz, updated_at)
          returning user_id, id
        )`;
  const [row] = await sql`
    with admitted as materialized (
      select * from admit_turn(
        ${userId}::uuid, ${chatId}::text, ${ceilings.promptTokens}::int, ${outputTokens}::int, ${ceilings.running}::int,
        ${budgets.account}::bigint, ${budgets.guest}::bigint, ${budgets.allGuests}::bigint, ${budgets.server}::bigint
      )
      -- The planner expects a thousand rows of a function; it would then plan this statement anew at each call.
      limit 1
    ), ${place}, turn as (
      insert into turns (
        id, user_id, chat_id, user_message_id, message_id, client_key, fingerprint, request, last_seq, prompt_tokens,
        reserved_tokens, lease_until
      )
      select ${turn.id}::uuid, user_id, id, ${turn.userMessageId}::text, ${turn.messageId}::text, ${turn.clientKey}::text,
        ${fingerprint}::text, ${request}::text::json, ${lastSeq}::int, admitted.prompt_tokens,
        case when ${outputTokens}::int > 0 then admitted.prompt_tokens + ${outputTokens}::int else 0 end, now() + ${leaseMs}::int * interval '1 millisecond'
      from chat cross join admitted
      where require_room(
        user_id, ${"newTitle" in chat ? chats : null}::int, null, null, ${storedBytes}::bigint, ${bytesToCome}::bigint
      )
      returning user_id, chat_id, lease_until, created_at, prompt_tokens, reserved_tokens
    ), said as (
      insert into messages (user_id, chat_id, id, parent_id, turn_id, role, status, parts, metadata, text)
      select user_id, chat_id, said.id, parent_id, turn_id, role, status, parts::json, metadata::json, text
      from turn, unnest(
        ${messages.map(({ id }) => id)}::text[], ${messages.map(({ parentId }) => parentId)}::text[],
        ${messages.map(({ turnId }) => turnId)}::uuid[], ${messages.map(({ role }) => role)}::text[],
        ${messages.map(({ status }) => status)}::text[], ${messages.map(({ parts }) => json(parts))}::text[],
        ${messages.map(({ metadata }) => json(metadata))}::text[], ${messages.map(({ text }) => text)}::text[]
      ) with ordinality as said (id, parent_id, turn_id, role, status, parts, metadata, text, place)
      order by place
    )
    select admitted.refusal, admitted.resets_at::text, extract(epoch from admitted.resets_at - now())::float8 as resets_in_s,
      turn.lease_until::text, turn.created_at::text, turn.prompt_tokens, turn.reserved_tokens,
      case when turn.user_id is not null then pg_notify(${chatsChannel}, turn.user_id || ' ' || turn.chat_id) end
    from admitted left join turn on true`;
  if (row?.refusal) throw new TurnRefused(row.refusal, new Date(row.resets_at), Math.ceil(row.resets_in_s));
  return row?.lease_until
    ? {
        ...turn,
        // In the form in which it is read back.
        request: JSON.parse(request),
        fingerprint,
        lastSeq,
        promptTokens: row.prompt_tokens,
        reservedTokens: row.reserved_tokens,
        state: "running",
        epoch: 1,
        crashes: 0,
        leaseUntil: new Date(row.lease_until),
        createdAt: new Date(row.created_at),
        stopRequestedAt: null,
        error: null,
        endedAt: null,
        prunedAt: null,
      }
    : null;
}

/** A log's prefix, stored in its turn's transaction; the turn's `lastSeq` includes it. */
export async function insertChunks(
  sql: TransactionSql,
  turnId: string,
  chunks: { seq: number; json: string }[],
): Promise<void> {
  await sql`
    insert into turn_chunks (turn_id, seq, chunk)
    select ${turnId}::uuid, seq, chunk::json
    from unnest(${chunks.map(({ seq }) => seq)}::int[], ${chunks.map(({ json }) => json)}::text[]) as added (seq, chunk)`;
}

export async function findTurn(userId: string, id: string): Promise<TurnRow | null> {
  const [row] = await database()
    .select(turnColumns)
    .from(turns)
    .where(and(eq(turns.userId, userId), eq(turns.id, id)));
  return row ?? null;
}

export async function findTurnByKey(userId: string, clientKey: string): Promise<TurnRow | null> {
  const [row] = await database()
    .select(turnColumns)
    .from(turns)
    .where(and(eq(turns.userId, userId), eq(turns.clientKey, clientKey)));
  return row ?? null;
}

export async function findRunningTurn(userId: string, chatId: string): Promise<TurnRow | null> {
  const [row] = await database()
    .select(turnColumns)
    .from(turns)
    .where(and(eq(turns.userId, userId), eq(turns.chatId, chatId), eq(turns.state, "running")));
  return row ?? null;
}

/** The running turn with this fingerprint, in any chat; of several the newest. */
export async function findRunningDuplicate(userId: string, fingerprint: string): Promise<TurnRow | null> {
  const [row] = await database()
    .select(turnColumns)
    .from(turns)
    .where(and(eq(turns.userId, userId), eq(turns.state, "running"), eq(turns.fingerprint, fingerprint)))
    .orderBy(desc(turns.createdAt), desc(turns.id))
    .limit(1);
  return row ?? null;
}

/** The turns among these whose client runs the tools. */
export async function listWithClientTools(userId: string, ids: string[]): Promise<string[]> {
  const rows = await pool().sql`
    select id from turns
    where user_id = ${userId}::uuid and id = any(${ids}::uuid[]) and request #>> '{view,clientTools}' = 'true'`;
  return rows.map(({ id }) => id);
}

/** The chat's most recently started turn, running or not. */
export async function findLatestTurn(userId: string, chatId: string): Promise<TurnRow | null> {
  const [row] = await database()
    .select()
    .from(turns)
    .where(and(eq(turns.userId, userId), eq(turns.chatId, chatId)))
    .orderBy(desc(turns.createdAt), desc(turns.id))
    .limit(1);
  return row ?? null;
}

/**
 * Compare-and-set: true when the turn was running and is now asked to stop. NOTIFY tells its owner.
 */
export async function requestStop(turnId: string, channel: string): Promise<boolean> {
  const rows = await pool().sql`
    with asked as (
      update turns set stop_requested_at = coalesce(stop_requested_at, now())
      where id = ${turnId} and state = 'running' returning id
    )
    select pg_notify(${channel}, id::text) from asked`;
  return rows.length > 0;
}

/**
 * Replaces the turn's stored request. False when the turn was pruned, which may have changed the
 * request, or deleted since it was read.
 */
export async function replaceRequest(
  { userId, id, prunedAt }: Pick<TurnRow, "userId" | "id" | "prunedAt">,
  request: object,
): Promise<boolean> {
  const rows = await pool().sql`
    update turns set request = ${JSON.stringify(request)}::text::json
    where user_id = ${userId}::uuid and id = ${id}::uuid and (pruned_at is null) = ${prunedAt === null}::boolean
    returning id`;
  return rows.length > 0;
}

/** An older answer has been dealt with by the user; continuing it would come as a surprise. */
const continueWithinMs = 600_000;
/** A turn that crashed this many servers may be the cause. */
const maxCrashes = 3;

/**
 * Recently interrupted turns with no later question in their chat that do not continue another
 * turn. Across all users: for the server's own work.
 */
export async function listContinuable(
  limit: number,
): Promise<Pick<TurnRow, "id" | "userId" | "chatId" | "messageId">[]> {
  const rows = await pool().sql`
    select id, user_id, chat_id, message_id from turns
    where state = 'interrupted' and pruned_at is null and ended_at > now() - ${continueWithinMs}::int * interval '1 millisecond'
      and crashes < ${maxCrashes}::int and request::text not like '%"continues":%'
      and not exists (
        select from turns as later
        where later.user_id = turns.user_id and later.chat_id = turns.chat_id and later.created_at > turns.created_at
      )
    order by ended_at limit ${limit}`;
  return rows.map((row) => ({ id: row.id, userId: row.user_id, chatId: row.chat_id, messageId: row.message_id }));
}
