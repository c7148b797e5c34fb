// Indexes of large tables. A migration runs in a transaction, where building an index locks out all
// writes; these are built `concurrently` after the migrations, while the server serves. Also drops
// indexes that are no longer used.
import { advisoryLocks } from "./advisory-locks";
import "server-only";
import { setTimeout as delay } from "node:timers/promises";
import postgres from "postgres";

type LargeIndex = {
  /** Never reused for another definition: a changed index gets a new name. */
  name: string;
  table: string;
  /** Follows `create index … on <table>`. */
  definition: string;
};

const largeIndexes: LargeIndex[] = [
  // The latest turn of a chat, and the foreign key from `chats` on delete.
  { name: "turns_of_chat", table: "turns", definition: "(user_id, chat_id, created_at desc, id desc)" },
  // The chat list, paged.
  { name: "chats_in_order", table: "chats", definition: "(user_id, pinned desc, updated_at desc, id desc)" },
  // What the sweep deletes.
  { name: "chats_not_listed", table: "chats", definition: "(updated_at) where not listed" },
  // Chat search (chat-search.ts): messages to index, words, and signatures by index-only scan.
  {
    name: "messages_to_index",
    table: "messages",
    definition: "(position) where search_text is null and status <> 'running'",
  },
  {
    name: "messages_by_words",
    table: "messages",
    // The pending list holds about 80 messages and is merged at once, which halves the cost per
    // message and cuts writes to a sixth. Every search scans the list: a larger one would slow it.
    definition: "using gin (search_words) with (gin_pending_list_limit = 256) where search_words is not null",
  },
  {
    name: "messages_by_gram",
    table: "messages",
    definition: "(user_id, position) include (chat_id, search_grams) where search_grams is not null",
  },
];

const retiredIndexes = ["chats_user_id_updated_at_index", "messages_by_word"];

/** How often a server checks whether another one has finished. */
const pollMs = 1_000;

type Options = { indexes?: LargeIndex[]; retired?: string[]; pollMs?: number };

/**
 * Resolves when every index exists and is valid. One server builds; the others poll until it has
 * finished or died. An interrupted build leaves an invalid index, which is dropped and rebuilt.
 * Rejects when the database refuses or is unreachable; calling it again continues.
 */
export async function buildIndexes(
  url: string,
  { indexes = largeIndexes, retired = retiredIndexes, pollMs: waitMs = pollMs }: Options = {},
): Promise<void> {
  const sql = postgres(url, {
    // One connection holds the lock while the other builds.
    max: 2,
    prepare: false,
    connect_timeout: 10,
    onnotice: () => {},
    connection: { application_name: "rivulet" },
  });
  try {
    while (!(await isDone(sql, indexes, retired)))
      if (!(await withLock(sql, () => build(sql, indexes, retired, waitMs)))) await delay(waitMs);
  } finally {
    await sql.end({ timeout: 5 });
  }
}

async function isDone(sql: postgres.Sql, indexes: LargeIndex[], retired: string[]): Promise<boolean> {
  const found = await readValidity(sql, [...indexes.map(({ name }) => name), ...retired]);
  return indexes.every(({ name }) => found.get(name) === true) && !retired.some((name) => found.has(name));
}

/** Validity of the indexes that exist. */
async function readValidity(sql: postgres.Sql, names: string[]): Promise<Map<string, boolean>> {
  const rows = await sql`
    select pg_class.relname as name, pg_index.indisvalid as valid
    from pg_index join pg_class on pg_class.oid = pg_index.indexrelid
    where pg_class.relname = any(${names}) and pg_class.relnamespace = current_schema()::regnamespace`;
  return new Map(rows.map(({ name, valid }) => [name, valid]));
}

/**
 * False when another server holds the lock. Only tries it: a statement waiting for a lock holds a
 * snapshot, which the build would wait for in turn. The lock belongs to the transaction: a pooler
 * would keep a session's lock.
 */
async function withLock(sql: postgres.Sql, work: () => Promise<void>): Promise<boolean> {
  return sql.begin(async (holder) => {
    // This transaction is idle while the index is built.
    await holder.unsafe("set local idle_in_transaction_session_timeout = 0");
    // Without parameters it is a simple query, which keeps no portal and therefore no snapshot to
    // block the build.
    const [row] = await holder.unsafe(`select pg_try_advisory_xact_lock(${advisoryLocks.indexes}) as locked`);
    if (row?.locked) await work();
    return row?.locked === true;
  });
}

async function build(sql: postgres.Sql, indexes: LargeIndex[], retired: string[], waitMs: number): Promise<void> {
  // Session settings, because none of this may run in a transaction. A pooler may apply them to
  // another connection.
  await sql`select set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false)`;
  for (const { name, table, definition } of indexes) {
    // A killed server's backend may still be building: waits for it, without a snapshot.
    await sql.begin((tx) => tx.unsafe(`lock table ${table} in share update exclusive mode`));
    const isValid = async () => (await readValidity(sql, [name])).get(name);
    // Postgres releases that lock just before the commit that marks the index valid.
    if ((await isValid()) === false) await delay(waitMs);
    const valid = await isValid();
    if (valid) continue;
    if (valid === false) await sql.unsafe(`drop index concurrently if exists ${name}`);
    await sql.unsafe(`create index concurrently ${name} on ${table} ${definition}`);
  }
  for (const name of retired) await sql.unsafe(`drop index concurrently if exists ${name}`);
}
