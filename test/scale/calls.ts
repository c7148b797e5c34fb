// Every db/ function that sends statements, with arguments that make it do much work. Add new ones
// here: the test fails until a function is called, or excused in excused.ts.
import { v7 as uuidv7 } from "uuid";
import * as account from "@/db/account";
import * as chatSearch from "@/db/chat-search";
import * as chats from "@/db/chats";
import { database, pool } from "@/db/client";
import * as clientHistory from "@/db/client-history";
import * as documents from "@/db/documents";
import * as exported from "@/db/export";
import * as invitations from "@/db/invitations";
import * as limits from "@/db/limits";
import * as log from "@/db/log";
import * as messages from "@/db/messages";
import * as openStreams from "@/db/open-streams";
import * as samples from "@/db/samples";
import * as sessions from "@/db/sessions";
import * as signUp from "@/db/sign-up";
import { countStoredBytes } from "@/db/stored-bytes";
import * as tasks from "@/db/tasks";
import * as turns from "@/db/turns";
import * as usage from "@/db/usage";
import * as users from "@/db/users";
import { type Call, call } from "./explain";
import { heavy, other } from "./seed";

const { userId, bigChatId, chatId } = heavy;
/** Numbered as in seed.ts. */
const id = (number: number) => `00000000-0000-4000-8000-${number.toString(16).padStart(12, "0")}`;
/** The heavy user's ninth turn, which has ended, and the seventh, which runs. */
const turnId = id(16_777_216 + 9);
const runningId = id(16_777_216 + 7);
const documentId = id(33_554_432 + 1);
const sessionId = id(83_886_080 + 1);
const tokenId = id(67_108_864 + 9);
const noId = id(0);
const pageLimits = { maxMessages: 50, maxBytes: 8_000_000 };
const after = { createdAt: "2026-01-01 00:00:00+00", id: documentId };
const key = { id: sessionId, userId, version: 1, rowless: false };
const anAccount = () => ({ id: uuidv7(), email: `${uuidv7()}@example.org`, name: null, passwordHash: "hash" });
const aDocument = () => ({ id: uuidv7(), title: "New", filename: "new.md", mediaType: "text/markdown", bytes: 9 });
const passages = (ofDocument: string) =>
  [1, 2, 3].map((ordinal) => ({ id: uuidv7(), documentId: ofDocument, ordinal, heading: "", text: "a river" }));
/** The first pages of a paged read. */
async function take(rows: AsyncIterable<unknown>, count = 60): Promise<void> {
  for await (const _ of rows) if (--count === 0) return;
}

const queries = ["river", "the", "running rivers", "orb", "x", "市", "Москва", "北京", "nothing of this"];
queries.push("mountain -river", "%");

/** Statements that requests wait for. */
export const ofRoutes: Call[] = [
  call("a new password", account.replacePassword, (replace) => replace(id(20), "hash")),
  call("the end of an account", account.detachAccount, (abandon) => abandon(id(22))),
  call("forgotten usage", account.anonymizeUsage, (forget) => forget(id(33)), { [id(33)]: id(44) }),

  ...queries.map((query) =>
    call(`a search for ${query}`, chatSearch.searchChats, (search) => search(userId, { query, limit: 51 })),
  ),
  call("a small user's search", chatSearch.searchChats, (search) =>
    search(other.userId, { query: "river", limit: 51 }),
  ),

  call("a chat", chats.findChat, (find) => find(userId, chatId)),
  call("a chat by its number", chats.findChatByNumber, (find) => find(userId, 9)),
  call("a new chat", chats.insertChat, (insert) =>
    pool().sql.begin((sql) => insert(sql, { userId, id: uuidv7(), title: "New" }, 1_000_000)),
  ),
  call("a change of a chat", chats.updateChat, (update) => update(userId, chatId, { pinned: false })),
  call("the deletion of a chat", chats.deleteChat, (remove) => remove(userId, "chat-0-00100"), {
    "chat-0-00100": "chat-0-00101",
  }),
  call("the list of chats", chats.listChats, (list) => list(userId, { limit: 51 })),
  call("the list of chats, far down", chats.listChats, (list) =>
    list(userId, { limit: 51, after: { pinned: false, updatedAt: "2026-01-01 00:10:00+00", id: "chat" } }),
  ),

  call("an upload", documents.insertDocuments, (insert) => {
    const document = { ...aDocument(), passageCount: 3, sample: false };
    return insert(userId, [document], passages(document.id), { documents: 1_000_000, bytes: 1e12 });
  }),
  call("passages", documents.insertPassages, (insert) => insert(database(), userId, passages(documentId))),
  call("the list of documents", documents.listDocumentRows, (list) => list(userId, { limit: 51 })),
  call("the list of documents, far down", documents.listDocumentRows, (list) => list(userId, { limit: 51, after })),
  call("a document", documents.findDocument, (find) => find(userId, documentId)),
  call("the number of documents", documents.countDocumentRows, (count) => count(userId)),
  call("the number of some documents", documents.countDocumentRows, (count) => count(userId, [documentId, noId])),
  call("the deletion of a document", documents.deleteDocumentRow, (remove) => remove(userId, id(33_554_432 + 50)), {
    [id(33_554_432 + 50)]: id(33_554_432 + 51),
  }),
  call("the words of a question", documents.lexemesOf, (read) => read("rivers that shine")),
  call("a search in documents", documents.searchPassages, (search) =>
    search(userId, { lexemes: ["river", "shine"], minShare: 0.34, limit: 24 }),
  ),
  call("a search in some documents", documents.searchPassages, (search) =>
    search(userId, { lexemes: ["river", "shine"], documentIds: [documentId], minShare: 0.34, limit: 24 }),
  ),

  call("the export of an account", exported.findAccount, (find) => find(userId)),
  call("the export of tokens", exported.eachToken, (each) => take(each(userId))),
  call("the export of tasks", exported.eachTask, (each) => take(each(userId))),
  call("the export of chats", exported.eachChat, (each) => take(each(userId))),
  call("the export of messages", exported.eachMessage, (each) => take(each(userId, bigChatId))),
  call("the export of documents", exported.eachDocument, (each) => take(each(userId))),
  call("the export of passages", exported.eachPassage, (each) => take(each(userId, documentId))),

  call("a new invitation", invitations.insertInvitation, (insert) =>
    insert({ id: uuidv7(), hash: uuidv7(), email: null, role: "user", createdBy: userId }, 7),
  ),
  call("the list of invitations", invitations.listInvitations, (list) => list(100)),
  call("the deletion of an invitation", invitations.deleteInvitation, (remove) => remove(uuidv7())),

  call("slots for streams", openStreams.claimStreams, (claim) => claim(id(1), [{ userId, open: 8, wanted: 9 }], 50)),
  call("the rate limits of a request", limits.addUses, (add) =>
    add(["key 9", "key 150", uuidv7()].map((of) => ({ key: of, uses: 1, windowSeconds: 60 }))),
  ),

  call("the end of a chat of 10,000 messages", messages.listBranch, (list) => list(userId, bigChatId, pageLimits)),
  call("a page in the middle of it", messages.listBranch, (list) =>
    list(userId, bigChatId, { ...pageLimits, leafId: "m-19000-4" }),
  ),
  call("the history for a model", messages.listBranch, (list) =>
    list(userId, bigChatId, { leafId: "m-20000-3", maxMessages: 1_000, maxBytes: 4_000_000 }),
  ),
  call("where a client's 1,000 messages stand", clientHistory.listNamed, (list) =>
    list(
      userId,
      Array.from({ length: 1_000 }, (_, n) => `m-${20_000 - Math.floor(n / 5)}-${4 - (n % 5)}`),
    ),
  ),
  call("what the newest messages of a chat say", clientHistory.listTexts, (list) => list(userId, bigChatId, 1_000)),
  call("a message", messages.findMessage, (find) => find(userId, "m-9-4")),
  call("messages by their ids", messages.findMessages, (find) => find(userId, ["m-9-4", "m-9-5", "none"])),

  call("the user of a session", sessions.findSessionUser, (find) => find(key)),
  call("a new session", sessions.insertSession, (insert) =>
    insert(pool().sql, { id: uuidv7(), userId, userAgent: "scale" }),
  ),
  call("the list of sessions", sessions.listSessions, (list) => list(userId)),
  call("the end of a session", sessions.endSession, (end) => end(userId, id(83_886_080 + 2)), {
    [id(83_886_080 + 2)]: id(83_886_080 + 4),
  }),
  call("the end of all sessions", sessions.endAllSessions, (end) => end(pool().sql, id(55)), { [id(55)]: id(56) }),
  call("the end of all credentials", sessions.endAllCredentials, (end) => end(pool().sql, id(57)), {
    [id(57)]: id(58),
  }),

  call("whether there are accounts", signUp.hasAccounts, (has) => has()),
  call("a sign-up", signUp.insertAccount, (insert) =>
    insert(anAccount(), { invitation: null, open: true, first: true }),
  ),
  call("a sign-up with an invitation", signUp.insertAccount, (insert) =>
    insert(anAccount(), { invitation: "unknown", open: true, first: true }).catch((error: unknown) => {
      if (!(error instanceof signUp.SignUpRefused)) throw error;
    }),
  ),
  call("a guest that becomes an account", signUp.insertAccount, (insert) =>
    insert(anAccount(), { invitation: null, open: true, first: true }, id(61)),
  ),

  call("a new task", tasks.insertTask, (insert) => insert(userId, { title: "New", description: "" }, 1_000), {
    // The number it received, which differs on the second run.
    201: 202,
  }),
  call("the list of tasks", tasks.listTasks, (list) => list(userId, { limit: 50 })),
  call("a change of a task", tasks.updateTask, (update) => update(userId, 1, { completed: true })),
  call("the deletion of a task", tasks.deleteTask, (remove) => remove(userId, 2)),

  call("the state of a chat before a send", turns.readSendState, (read) => read(userId, "key-9", { id: bigChatId })),
  call("a turn", turns.findTurn, (find) => find(userId, turnId)),
  call("a turn by its key", turns.findTurnByKey, (find) => find(userId, "key-9")),
  call("the running turn of a chat", turns.findRunningTurn, (find) => find(userId, bigChatId)),
  call("the running turn that was asked for the same", turns.findRunningDuplicate, (find) =>
    find(userId, "fingerprint"),
  ),
  call("the turns of clients' tools", turns.listWithClientTools, (list) => list(userId, [turnId, runningId])),
  call("the latest turn of a chat", turns.findLatestTurn, (find) => find(userId, bigChatId)),
  call("an answer that is not kept any more", turns.replaceRequest, (replace) =>
    replace({ userId, id: turnId, prunedAt: null }, { view: { kept: false } }),
  ),
  call("a stop", turns.requestStop, (stop) => stop(turnId, "scale")),
  call("the beginning of a log", turns.insertChunks, (insert) =>
    pool().sql.begin((sql) => insert(sql, uuidv7(), [{ seq: 1, json: "{}" }])),
  ),
  call("a send into a chat of 10,000 messages", turns.insertTurn, (insert) => undoneTurn(insert)),
  call("the whole log of a turn", log.readAllChunks, (read) => read(pool().sql, [turnId])),

  call("a new user", users.insertUser, (insert) => insert(anAccount())),
  call("a guest that was seen", users.seenCaller, (see) => see({ id: id(62), session_version: 1, unseen: true })),
  call("a user by email", users.findUserByEmail, (find) => find("user11@example.org")),
  call("a new token", users.insertToken, (insert) =>
    insert(
      { id: uuidv7(), userId, name: "new", hash: uuidv7(), expiresAt: null },
      { parentId: tokenId, maxTokens: 1e6 },
    ),
  ),
  call("a user's credentials", users.findUserByToken, (find) => find("hash-9")),
  call("the list of tokens", users.listTokens, (list) => list(userId, { limit: 51 })),
  call("the list of tokens, far down", users.listTokens, (list) => list(userId, { limit: 51, after })),
  call("the deletion of a token", users.deleteToken, (remove) => remove(userId, id(67_108_864 + 10)), {
    [id(67_108_864 + 10)]: id(67_108_864 + 11),
  }),
];

/** Background work of servers: frequent, so no full scans; some do as much as there is to do. */
export const inBackground: Call[] = [
  call("messages that become searchable", chatSearch.indexMessages, (index) => index(50)),
  call("the chats of a user that is deleted", chats.listChatIds, (list) => list(userId, 100)),
  call("chats of stateless calls", chats.listExpiredStatelessChats, (list) => list(100)),
  call("the documents of a user that is deleted", documents.deleteSomeDocuments, (remove) => remove(id(70), 5), {
    [id(70)]: id(71),
  }),
  call("open streams", openStreams.publishStreams, (publish) => publish(id(1), [{ userId, streams: 9 }])),
  call("a server's streams", openStreams.withdrawStreams, (withdraw) => withdraw(id(2))),
  call("counters that are over", limits.deleteExpiredCounters, (remove) => remove(1_000)),

  call("the group commit", log.commitChunks, (commit) =>
    commit(pool().sql, [{ turnId: runningId, epoch: 1, lastSeq: 23, chunks: [{ seq: 23, json: "{}" }] }], 60_000),
  ),
  call("the group commit of an end", log.commitChunks, (commit) => {
    const tokens = { tokens: 9, requests: 1, written: 0 };
    const final = { state: "complete", error: null, usage: tokens, parts: "[]", metadata: "{}", text: "" };
    const chunks = [{ seq: 24, json: "{}" }];
    return commit(pool().sql, [{ turnId: id(16_777_216 + 10_007), epoch: 1, lastSeq: 24, chunks, final }], 60_000);
  }),
  call("positions", log.readPositions, (read) => read(pool().sql, [turnId, runningId])),
  call("stop requests", log.listStopRequests, (list) => list([turnId, runningId])),
  call("watched chats", log.readChatStates, (read) =>
    read([
      { userId, chatId },
      { userId, chatId: bigChatId },
    ]),
  ),
  call("the pages of a log", log.readPages, (read) =>
    read(
      [
        { turnId, seq: 0 },
        { turnId: runningId, seq: 5 },
      ],
      65_536,
    ),
  ),
  call("turns that are given up", log.expireLeases, (expire) =>
    expire([{ turnId: id(16_777_216 + 20_007), epoch: 1 }]),
  ),
  call("expired turns", log.listExpiredTurns, (list) => list(500)),
  call("the claims of the reaper", log.claimExpiredTurns, (claim) =>
    claim([runningId, id(16_777_216 + 20_007)], 50, 60_000),
  ),
  call("the message of a turn that ended without it", log.setMessageStatus, (set) => set(turnId, "complete")),
  call("chunks of turns that ended long ago", log.pruneChunks, (prune) => prune(3_600_000, 500)),
  call("prompts of pruned turns", log.deletePrompts, (forget) => forget(noId, 200)),
  call("turns that chunks name", log.listTurnsOfChunks, (list) => list(noId, 200)),
  call("chunks of turns that are gone", log.deleteOrphanChunks, (remove) => remove([turnId, uuidv7()], 5_000)),

  call("the fingerprints of the samples", samples.readSampleFingerprints, (read) => read()),
  call("a sample", samples.storeSample, (store) =>
    store(
      { ...aDocument(), filename: `${uuidv7()}.md`, passageCount: 3, sample: true, fingerprint: "x" },
      passages("").map(({ documentId: _, ...part }) => part),
    ),
  ),
  call("samples of an older version", samples.deleteOtherSamples, (remove) => remove(["README.md"])),
  call("copies of samples", samples.deleteSampleCopies, (remove) => remove(["README.md"], 20)),

  call("bytes from before they were counted", countStoredBytes, (count) => count(5)),

  call("sessions that are over", sessions.listEndedSessions, (list) =>
    list(Array.from({ length: 500 }, (_, index) => ({ ...key, id: id(83_886_080 + index) }))),
  ),
  call("tokens that are over", users.listEndedTokens, (list) =>
    list(Array.from({ length: 500 }, (_, index) => id(67_108_864 + index))),
  ),
  call("turns to continue", turns.listContinuable, (list) => list(50)),
  call("usage of days that ended long ago", usage.pruneUsage, (prune) => prune(31)),

  call("guests with something open", users.markSeen, (mark) =>
    mark(Array.from({ length: 500 }, (_, index) => id(1_048_577 + index))),
  ),
  call("idle guests", users.claimIdleGuests, (claim) => claim(30, 20)),
  call("the deletion of a guest", users.deleteGuest, (remove) => remove(id(1_048_577 + 600)), {
    [id(1_048_577 + 600)]: id(1_048_577 + 601),
  }),
];

/** Rolled back, so that the chat is free for the next call. */
async function undoneTurn(insert: typeof turns.insertTurn): Promise<void> {
  const undone = new Error("undone");
  const budgets = { account: 1e9, guest: 1e9, allGuests: 1e9, server: 1e9 };
  const ceilings = { running: 100, promptTokens: 100, outputTokens: 1_000, budgets, storedBytes: 1e12 };
  const turn = {
    ...{ id: uuidv7(), userId, chatId: bigChatId, userMessageId: uuidv7(), messageId: uuidv7(), clientKey: uuidv7() },
    ...{ request: { model: "local" }, fingerprint: "x" },
  };
  const leaf = { parentId: "m-20000-4", turnId: null, role: "user" as const, status: "complete", parts: [] };
  const question = { ...leaf, metadata: null, text: "", id: turn.userMessageId };
  await pool()
    .sql.begin(async (sql) => {
      await insert(sql, turn, {}, [question], ceilings, 60_000);
      throw undone;
    })
    .catch((error: unknown) => {
      if (error !== undone) throw error;
    });
}
