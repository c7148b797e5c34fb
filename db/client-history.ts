// Locates a client's messages in the tree of a chat. Each statement filters by owner.
import "server-only";
import { pool } from "./client";

/** A stored message without its text. */
export type StoredIdentity = {
  id: string;
  chatId: string;
  parentId: string | null;
  role: "user" | "assistant";
  /** Not written by a turn of this server. */
  isForeign: boolean;
  /** SHA-256 of its text, hex. Null for an answer that a turn wrote. */
  digest: string | null;
};

/** Every decision or client result on an answer's calls continues it in another message. */
const maxDecisions = 50;

/**
 * The user's messages with these ids, in any chat, by the requested id. An answer that continued
 * after a decision resolves to its continuation: a stock client keeps the first id.
 */
export async function listNamed(userId: string, ids: string[]): Promise<Map<string, StoredIdentity>> {
  const rows = await pool().sql`
    with recursive named as (
      select id as name, 0 as depth, id, chat_id, parent_id, role, turn_id,
        case when turn_id is null then encode(sha256(convert_to(text, 'UTF8')), 'hex') end as digest
      from messages where user_id = ${userId}::uuid and id = any(${ids}::text[])
      union all
      select name, depth + 1, later.id, later.chat_id, later.parent_id, later.role, later.turn_id, null
      from named
      join turns on turns.user_id = ${userId}::uuid
        and turns.client_key = any(array['approve:' || named.turn_id, 'results:' || named.turn_id])
      join messages as later
        on later.user_id = ${userId}::uuid and later.id = turns.message_id and later.parent_id = named.parent_id
      where depth < ${maxDecisions}::int
    )
    select distinct on (name) name, id, chat_id, parent_id, role, turn_id, digest from named order by name, depth desc`;
  return new Map(
    rows.map((row) => [
      row.name,
      {
        id: row.id,
        chatId: row.chat_id,
        parentId: row.parent_id,
        role: row.role,
        isForeign: row.turn_id === null,
        digest: row.digest,
      },
    ]),
  );
}

export type KnownText = {
  id: string;
  parentId: string | null;
  role: "user" | "assistant";
  status: string;
  /** SHA-256 of the trimmed text, hex. */
  digest: string;
  /** Set for an answer that was cut off: its client may have less of it. */
  text: string | null;
};

/** The newest messages of a chat, on all branches, oldest first. */
export async function listTexts(userId: string, chatId: string, limit: number): Promise<KnownText[]> {
  const rows = await pool().sql`
    select id, parent_id, role, status, encode(sha256(convert_to(btrim(text, E' \\n\\r\\t'), 'UTF8')), 'hex') as digest,
      case when status not in ('complete', 'running') then text end as text
    from messages where user_id = ${userId}::uuid and chat_id = ${chatId}
    order by position desc limit ${limit}::int`;
  return rows
    .map(({ id, parent_id: parentId, role, status, digest, text }) => ({ id, parentId, role, status, digest, text }))
    .reverse();
}
