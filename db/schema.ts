// The tables. Chats and messages are keyed by (user, id): clients choose those ids, and a namespace per user
// makes somebody else's id indistinguishable from an unknown one (docs/protocol.md §5).
// What a model or a client wrote is `json`, never `jsonb`: json keeps key order and \u0000, so a replay has the same bytes.
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
    /** Accounts in ADMIN_EMAILS are administrators, too. */
    role: text().$type<"user" | "admin">().notNull().default("user"),
    /** In every session's JWT; raising it ends all sessions of the user. */
    sessionVersion: integer().notNull().default(1),
    /** The last small chat number given out. */
    lastChatNumber: integer().notNull().default(0),
    /** The last task number given out. */
    lastTaskNumber: integer().notNull().default(0),
    createdAt: instant().notNull().defaultNow(),
    /** The last request of a guest, to the hour. Idle guests are deleted (lib/chats/sweep.ts). */
    lastSeenAt: instant().notNull().defaultNow(),
  },
  (t) => [index("users_idle_guests").on(t.lastSeenAt).where(sql`email is null`)],
);

/** Signed-in browsers. next-auth's JWT names its row as `sid`. */
export const sessions = pgTable(
  "sessions",
  {
    id: uuid().primaryKey(),
    userId: uuid()
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    createdAt: instant().notNull().defaultNow(),
    /** Updated at most once every few minutes (db/sessions.ts). */
    lastSeenAt: instant().notNull().defaultNow(),
    expiresAt: instant().notNull(),
    /** The row stays after a sign-out, so that the JWT it was made from cannot make it again. */
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
    /** The token that made this one; revoking a token revokes its descendants. Null: made with a session or a password. */
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
    /** False for the chat of a stateless API call: it is in no list, and swept a day after its last use. */
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
    /** `complete` for user messages; an assistant message has the state of its turn. */
    status: text().notNull().default("complete"),
    parts: json().notNull(),
    metadata: json(),
    /** The plain text of the parts. */
    text: text().notNull().default(""),
    /** Order of insertion. Two messages of one transaction share created_at. */
    position: bigint({ mode: "number" }).notNull().generatedAlwaysAsIdentity(),
    createdAt: instant().notNull().defaultNow(),
    /** What the search looks at (db/chat-search.ts); null until a finished message is indexed. */
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
    /** Of what was sent with the key. Null: stored by a version that had none. */
    fingerprint: text(),
    /** What was asked for besides the text: {model, searchMode, documentIds}. Its `prompt` goes with the chunks. */
    request: json().notNull(),
    state: text().$type<"running" | "complete" | "stopped" | "failed" | "interrupted">().notNull().default("running"),
    /** Raised by whoever takes the turn over; a writer with an older epoch can no longer append. */
    epoch: integer().notNull().default(1),
    /** Owners that died while the turn ran. One that hands its turns over is not counted. */
    crashes: integer().notNull().default(0),
    leaseUntil: instant().notNull(),
    stopRequestedAt: instant(),
    lastSeq: integer().notNull().default(0),
    /** Estimate of the prompt, for a turn that ends without the provider's figures. */
    promptTokens: integer().notNull().default(0),
    /** Held of the day's budgets while the turn runs: the prompt and the cap on the answer. 0: costs nothing. */
    reservedTokens: integer().notNull().default(0),
    error: json(),
    createdAt: instant().notNull().defaultNow(),
    endedAt: instant(),
    /** When the chunks were deleted; from then on the turn is followed from its message. */
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
 * Tokens that ended turns used, by the UTC day on which they started. No foreign key: who deletes an account does not
 * give the server's budget back. Old days are pruned.
 */
export const tokenUsage = pgTable(
  "token_usage",
  {
    day: date().notNull(),
    userId: uuid().notNull(),
    /** Was a guest when the row was made. */
    guest: boolean().notNull(),
    tokens: bigint({ mode: "number" }).notNull(),
  },
  (t) => [primaryKey({ columns: [t.day, t.userId] })],
);

/** No foreign key: it would cost a trigger for each chunk. Whoever deletes turns deletes their chunks. */
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
    /** Null: a sample, which all users share. */
    userId: uuid().references(() => users.id, { onDelete: "cascade" }),
    title: text().notNull(),
    filename: text().notNull(),
    mediaType: text().notNull(),
    bytes: integer().notNull(),
    passageCount: integer().notNull(),
    /** Came with Rivulet. With an owner it is a copy that an older version made, which nobody sees and the sweep deletes. */
    sample: boolean().notNull().default(false),
    /** Of a sample: tells whether the file has changed. */
    fingerprint: text(),
    createdAt: instant().notNull().defaultNow(),
  },
  (t) => [
    index().on(t.userId, t.createdAt),
    uniqueIndex("documents_samples").on(t.filename).where(sql`user_id is null`),
    index("documents_sample_copies").on(t.userId).where(sql`sample and user_id is not null`),
  ],
);

/** Samples that a user has deleted, as far as that user is concerned. By name: the sample itself may be made anew. */
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
    /** As the document's. */
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
    /** The only address that may use it. Null: any. */
    email: text(),
    /** Of the account it makes. */
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

/** What the user wants to get done; kept by the tools of lib/tools/tasks.ts. */
export const tasks = pgTable(
  "tasks",
  {
    userId: uuid()
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    /** The user's own small number for this task: 1, 2, 3 … never given twice. Models copy it without a slip. */
    number: integer().notNull(),
    title: text().notNull(),
    description: text().notNull().default(""),
    createdAt: instant().notNull().defaultNow(),
    /** Null while the task is pending. */
    completedAt: instant(),
  },
  (t) => [primaryKey({ columns: [t.userId, t.number] })],
);

/** How often something was done in a window that ends at `expires_at` (lib/limits.ts). Unlogged: a crash may reset it. */
export const rateLimits = pgTable(
  "rate_limits",
  {
    /** What is limited, by which of its limits, and whose uses these are. */
    key: text().primaryKey(),
    uses: integer().notNull(),
    expiresAt: instant().notNull(),
  },
  (t) => [index().on(t.expiresAt)],
);

/**
 * Streams and feeds that a server holds open for a user, where that are more than a few (lib/stream-slots.ts). Unlogged: a
 * crash may reset it, servers write their rows again. No foreign key: a server must not wait for a user's row.
 */
export const openStreams = pgTable(
  "open_streams",
  {
    userId: uuid().notNull(),
    /** Of one process, new at each start. */
    serverId: uuid().notNull(),
    streams: integer().notNull(),
    refreshedAt: instant().notNull(),
  },
  (t) => [primaryKey({ columns: [t.userId, t.serverId] }), index().on(t.serverId)],
);

/**
 * How many bytes of messages and documents a user stores: the sum of the rows. Triggers add one for each statement that adds,
 * changes or deletes such rows; `require_room` joins them now and then. Rows and not one counter: the log's commit adds to many
 * users at once and must not wait for a user's lock. No foreign key, which would be such a lock; a trigger deletes with the user.
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
