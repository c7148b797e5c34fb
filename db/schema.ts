// The tables. Chats and messages are keyed by (user, id): clients choose those ids, and a namespace
// per user makes another user's id indistinguishable from an unknown one (docs/protocol.md §5).
// What a model or client wrote is `json`, never `jsonb`: json keeps key order and \u0000, so a
// replay has the same bytes.
import { sql } from "drizzle-orm";
import {
  type AnyPgColumn,
  bigint,
  bit,
  boolean,
  customType,
  date,
  foreignKey,
  index,
  integer,
  json,
  pgTable,
  primaryKey,
  text,
  timestamp,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";

const instant = () => timestamp({ withTimezone: true });
const tsvector = customType<{ data: string }>({ dataType: () => "tsvector" });

export const users = pgTable(
  "users",
  {
    id: uuid().primaryKey(),
    /** Lower case. Null: a guest. */
    email: text().unique(),
    name: text(),
    passwordHash: text(),
    /** Accounts in ADMIN_EMAILS are administrators too. */
    role: text().$type<"user" | "admin">().notNull().default("user"),
    /** Part of every session's JWT; raising it ends all of the user's sessions. */
    sessionVersion: integer().notNull().default(1),
    /** The last chat number assigned. */
    lastChatNumber: integer().notNull().default(0),
    /** The last task number assigned. */
    lastTaskNumber: integer().notNull().default(0),
    createdAt: instant().notNull().defaultNow(),
    /** A guest's last request, to the hour. Idle guests are deleted (lib/services/sweep.ts). */
    lastSeenAt: instant().notNull().defaultNow(),
  },
  (t) => [index("users_idle_guests").on(t.lastSeenAt).where(sql`email is null`)],
);

/** Signed-in browsers. next-auth's JWT refers to its row as `sid`. */
export const sessions = pgTable(
  "sessions",
  {
    id: uuid().primaryKey(),
    userId: uuid()
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    createdAt: instant().notNull().defaultNow(),
    /** Updated at most once every five minutes (db/sessions.ts). */
    lastSeenAt: instant().notNull().defaultNow(),
    expiresAt: instant().notNull(),
    /** The row outlives a sign-out, so that its JWT cannot recreate it. */
    endedAt: instant(),
    /** Of the browser that signed in; bounded and printable. */
    userAgent: text().notNull().default(""),
  },
  (t) => [index().on(t.userId)],
);

export const tokens = pgTable(
  "tokens",
  {
    id: uuid().primaryKey(),
    userId: uuid()
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    /**
     * The token that created this one; revoking a token revokes its descendants. Null: created with
     * a session or password.
     */
    parentId: uuid().references((): AnyPgColumn => tokens.id, { onDelete: "cascade" }),
    name: text().notNull(),
    /** SHA-256 of the token, hex. The token itself is shown once and never stored. */
    hash: text().notNull().unique(),
    createdAt: instant().notNull().defaultNow(),
    lastUsedAt: instant(),
    expiresAt: instant(),
  },
  (t) => [index().on(t.userId), index().on(t.parentId)],
);

export const chats = pgTable(
  "chats",
  {
    userId: uuid()
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    id: text().notNull(),
    /** The user's own small number for this chat: 1, 2, 3 … */
    number: integer().notNull(),
    title: text().notNull(),
    pinned: boolean().notNull().default(false),
    /** False for the chat of a stateless API call: unlisted, and swept a day after its last use. */
    listed: boolean().notNull().default(true),
    createdAt: instant().notNull().defaultNow(),
    updatedAt: instant().notNull().defaultNow(),
  },
  (t) => [primaryKey({ columns: [t.userId, t.id] }), uniqueIndex().on(t.userId, t.number)],
);

export const messages = pgTable(
  "messages",
  {
    userId: uuid().notNull(),
    id: text().notNull(),
    chatId: text().notNull(),
    /** The message this one answers or follows; null for the first. Siblings share a parent. */
    parentId: text(),
    /** The turn that writes this message; null for user messages. */
    turnId: uuid(),
    role: text().$type<"user" | "assistant">().notNull(),
    /** `complete` for user messages; an assistant message has its turn's state. */
    status: text().notNull().default("complete"),
    parts: json().notNull(),
    metadata: json(),
    /** The plain text of the parts. */
    text: text().notNull().default(""),
    /** Insertion order. Two messages of one transaction share created_at. */
    position: bigint({ mode: "number" }).notNull().generatedAlwaysAsIdentity(),
    createdAt: instant().notNull().defaultNow(),
    /** Search columns (db/chat-search.ts); null until a finished message is indexed. */
    searchText: text(),
    searchWords: tsvector(),
    searchGrams: bit({ dimensions: 2048 }),
  },
  (t) => [
    primaryKey({ columns: [t.userId, t.id] }),
    index().on(t.userId, t.chatId, t.position),
    index().on(t.turnId),
    foreignKey({ columns: [t.userId, t.chatId], foreignColumns: [chats.userId, chats.id] }).onDelete("cascade"),
  ],
);

export const turns = pgTable(
  "turns",
  {
    id: uuid().primaryKey(),
    userId: uuid().notNull(),
    chatId: text().notNull(),
    userMessageId: text().notNull(),
    /** The assistant message this turn writes. */
    messageId: text().notNull(),
    /** Idempotency key: the header, else the user message's id. */
    clientKey: text().notNull(),
    /** Of the request sent with the key. Null: stored by a version without fingerprints. */
    fingerprint: text(),
    /**
     * The request without the text: {model, searchMode, documentIds}. `prompt` goes with the
     * chunks.
     */
    request: json().notNull(),
    state: text().$type<"running" | "complete" | "stopped" | "failed" | "interrupted">().notNull().default("running"),
    /** Raised by every takeover; a writer with an older epoch cannot append. */
    epoch: integer().notNull().default(1),
    /** Owners that died while the turn ran. A handover does not count. */
    crashes: integer().notNull().default(0),
    leaseUntil: instant().notNull(),
    stopRequestedAt: instant(),
    lastSeq: integer().notNull().default(0),
    /** Estimated prompt tokens, for a turn that ends without the provider's figures. */
    promptTokens: integer().notNull().default(0),
    /**
     * Reserved from the day's budgets while the turn runs: the prompt and the cap on the answer. 0:
     * costs nothing.
     */
    reservedTokens: integer().notNull().default(0),
    error: json(),
    createdAt: instant().notNull().defaultNow(),
    endedAt: instant(),
    /** When the chunks were deleted; from then on readers get the turn from its message. */
    prunedAt: instant(),
  },
  (t) => [
    uniqueIndex("turns_one_per_key").on(t.userId, t.clientKey),
    uniqueIndex("turns_one_running_per_chat").on(t.userId, t.chatId).where(sql`state = 'running'`),
    index("turns_to_prune").on(t.endedAt).where(sql`state <> 'running' and pruned_at is null`),
    foreignKey({ columns: [t.userId, t.chatId], foreignColumns: [chats.userId, chats.id] }).onDelete("cascade"),
  ],
);

/**
 * Tokens used by ended turns, by the UTC day on which they started. No foreign key: deleting an
 * account must not refund the server's budget. Old days are pruned.
 */
export const tokenUsage = pgTable(
  "token_usage",
  {
    day: date().notNull(),
    userId: uuid().notNull(),
    /** Whether the user was a guest when the row was created. */
    guest: boolean().notNull(),
    tokens: bigint({ mode: "number" }).notNull(),
  },
  (t) => [primaryKey({ columns: [t.day, t.userId] })],
);

/** No foreign key: it would cost a trigger per chunk. Deleting turns must delete chunks. */
export const turnChunks = pgTable(
  "turn_chunks",
  {
    turnId: uuid().notNull(),
    seq: integer().notNull(),
    chunk: json().notNull(),
  },
  (t) => [primaryKey({ columns: [t.turnId, t.seq] })],
);

export const documents = pgTable(
  "documents",
  {
    id: uuid().primaryKey(),
    /** Null: a sample, shared by all users. */
    userId: uuid().references(() => users.id, { onDelete: "cascade" }),
    title: text().notNull(),
    filename: text().notNull(),
    mediaType: text().notNull(),
    bytes: integer().notNull(),
    passageCount: integer().notNull(),
    /**
     * Came with Rivulet. With an owner it is a hidden copy made by an older version, which the
     * sweep deletes.
     */
    sample: boolean().notNull().default(false),
    /** For a sample: detects a changed file. */
    fingerprint: text(),
    createdAt: instant().notNull().defaultNow(),
  },
  (t) => [
    index().on(t.userId, t.createdAt),
    uniqueIndex("documents_samples").on(t.filename).where(sql`user_id is null`),
    index("documents_sample_copies").on(t.userId).where(sql`sample and user_id is not null`),
  ],
);

/** Samples that a user has deleted from view. By name: the sample itself may be recreated. */
export const hiddenSamples = pgTable(
  "hidden_samples",
  {
    userId: uuid()
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    filename: text().notNull(),
  },
  (t) => [primaryKey({ columns: [t.userId, t.filename] })],
);

export const passages = pgTable(
  "passages",
  {
    id: uuid().primaryKey(),
    documentId: uuid()
      .notNull()
      .references(() => documents.id, { onDelete: "cascade" }),
    /** Same as the document's. */
    userId: uuid(),
    ordinal: integer().notNull(),
    /** The headings above the passage, outermost first, joined with " › ". */
    heading: text().notNull().default(""),
    text: text().notNull(),
    tsv: tsvector().generatedAlwaysAs(
      sql`setweight(to_tsvector('english', heading), 'A') || setweight(to_tsvector('english', text), 'B')`,
    ),
  },
  (t) => [index().on(t.userId, t.documentId), index().on(t.documentId, t.ordinal), index().using("gin", t.tsv)],
);

/** Links by which an administrator lets people sign up; each works once. */
export const invitations = pgTable(
  "invitations",
  {
    id: uuid().primaryKey(),
    /** SHA-256 of the token in the link, hex. */
    hash: text().notNull().unique(),
    /** The only email address that may use it. Null: any. */
    email: text(),
    /** Of the account it creates. */
    role: text().$type<"user" | "admin">().notNull(),
    createdBy: uuid()
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    createdAt: instant().notNull().defaultNow(),
    expiresAt: instant().notNull(),
    usedAt: instant(),
  },
  (t) => [index().on(t.createdBy)],
);

/** The user's to-do items, managed by the tools of lib/tools/tasks.ts. */
export const tasks = pgTable(
  "tasks",
  {
    userId: uuid()
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    /** The user's own number for this task: 1, 2, 3 … never reused. Models copy it reliably. */
    number: integer().notNull(),
    title: text().notNull(),
    description: text().notNull().default(""),
    createdAt: instant().notNull().defaultNow(),
    /** Null while the task is pending. */
    completedAt: instant(),
  },
  (t) => [primaryKey({ columns: [t.userId, t.number] })],
);

/**
 * Uses per window, which ends at `expires_at` (lib/limits.ts). Unlogged: a crash may reset them.
 */
export const rateLimits = pgTable(
  "rate_limits",
  {
    /** What is limited, by which limit, and for whom. */
    key: text().primaryKey(),
    uses: integer().notNull(),
    expiresAt: instant().notNull(),
  },
  (t) => [index().on(t.expiresAt)],
);

/**
 * Streams and feeds that a server holds open for a user with more than a few (lib/stream-slots.ts).
 * Unlogged: after a crash servers write their rows again. No foreign key: a server must not wait
 * for a user's row.
 */
export const openStreams = pgTable(
  "open_streams",
  {
    userId: uuid().notNull(),
    /** One process, new at each start. */
    serverId: uuid().notNull(),
    streams: integer().notNull(),
    refreshedAt: instant().notNull(),
  },
  (t) => [primaryKey({ columns: [t.userId, t.serverId] }), index().on(t.serverId)],
);

/**
 * Bytes of messages and documents a user stores: the sum of the rows. Triggers add a row for each
 * statement that adds, changes or deletes such data; `require_room` merges them now and then. Rows,
 * not one counter: the log's commit adds for many users at once and must not wait for a user's
 * lock. No foreign key, which would take such a lock; a trigger deletes with the user.
 */
export const storageChanges = pgTable(
  "storage_changes",
  {
    id: bigint({ mode: "number" }).primaryKey().generatedAlwaysAsIdentity(),
    userId: uuid().notNull(),
    bytes: bigint({ mode: "number" }).notNull(),
  },
  (t) => [index().on(t.userId)],
);
