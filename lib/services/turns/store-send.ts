// Stores a send: chat, question, turn and answer placeholder, all or nothing. What to store is
// decided from an earlier read and is only valid while that still holds (docs/protocol.md §5,
// RELIABILITY I7, I9).
import { v7 as uuidv7 } from "uuid";
import { insertChat } from "@/db/chats";
import { pool, type Statements, uniqueViolation } from "@/db/client";
import { findMessage } from "@/db/messages";
import {
  insertChunks,
  insertTurn,
  type NewTurn,
  readSendState,
  type SendState,
  type TurnMessage,
  type TurnRow,
} from "@/db/turns";
import { env } from "@/lib/env";
import { AppError } from "@/lib/errors";
import { ceilingsOf } from "@/lib/services/quotas/budget";
import type { ChatMessage, LoggedChunk, TurnChunk } from "@/lib/turn/chunks";
import { textOf } from "@/lib/turn/fold";
import { visibleLine } from "@/lib/turn/foreign-text";
import { opening } from "@/lib/turn/log-prefix";
import { splitDelta } from "@/lib/turn/merge";
import { truncate } from "@/lib/words";
import { findPosition, type HistoryPosition } from "./client-history";
import type { Continuation } from "./continuation";
import type { StoredRequest } from "./stored-request";
import { requireHistoryLength, type TurnRequest } from "./turn-request";

export function readState(
  userId: string,
  { clientKey, chatId: id, chatNumber: number }: TurnRequest,
): Promise<SendState> {
  return readSendState(userId, clientKey, number === undefined ? { id } : { number });
}

/** A stored turn, and its branch if known without a query. */
export type StoredTurn = { turn: TurnRow; history?: ChatMessage[] };

export type Send = {
  turnId: string;
  userId: string;
  request: TurnRequest;
  fingerprint: string;
  storedRequest: StoredRequest;
  continuation: Continuation | undefined;
  /** The question's place in the client's history; undefined: after the chat's newest message. */
  place: HistoryPosition | undefined;
};

/**
 * Undefined if the client sends no history. Throws too_large if it sends more than may be stored at
 * once.
 */
export async function placeFor(
  userId: string,
  request: TurnRequest,
  chat: SendState["chat"],
  isRetry = false,
): Promise<HistoryPosition | undefined> {
  if (request.trigger !== "submit-message" && request.trigger !== "regenerate-message") return undefined;
  const { message, before } = request;
  if (!message || !before) return undefined;
  const { id, parts } = message;
  // No lookup needed, unless a message of another chat has this id: the insert then fails.
  if (before.length === 0 && !chat && !isRetry)
    return { unknown: [], question: { id, parentId: null, stored: false }, path: [{ name: id, id, role: "user" }] };
  const place = await findPosition(userId, chat?.id ?? request.chatId, before, { id, parts, role: "user" });
  if (!place) return undefined;
  requireHistoryLength(request, place.unknown);
  return place;
}

/** Compare-and-set retries. */
const maxCasRetries = 20;

/**
 * Stores what `state` says is missing, and retries if another send into this chat won. Null if a
 * turn with the same key started meanwhile. Throws not_found without the referenced chat or
 * message, bad_request for a used message id, and the unique violation of `turns` if the chat is
 * busy or an equal send is being stored.
 */
export async function storeSend(send: Send, state: SendState): Promise<StoredTurn | null> {
  const { userId, request } = send;
  for (let tries = 1; tries <= maxCasRetries; tries++) {
    const stored = await tryStoreSend(send, state.chat, tries > 1);
    if (stored) return stored;
    const wasThere = state.chat !== null;
    state = await readState(userId, request);
    if (state.turnId) return null;
    if (wasThere && !state.chat) throw new AppError("not_found", "This chat was deleted meanwhile. Nothing was sent.");
    send.place = await placeFor(userId, request, state.chat, true);
  }
  throw new Error(`chat ${request.chatId} changed ${maxCasRetries} times while a turn was to begin in it`);
}

/**
 * Null if the chat changed or appeared meanwhile, or its number is taken; nothing is stored then.
 */
async function tryStoreSend(send: Send, chat: SendState["chat"], isRetry: boolean): Promise<StoredTurn | null> {
  const { userId, request, fingerprint, storedRequest, continuation, place } = send;
  if (!chat && !place && !createsChat(request)) throw new AppError("not_found", "There is no such chat.");
  const messages = place
    ? unstoredMessages(request, place)
    : newMessages(request).map((message) => ({ id: uuidv7(), ...message }));
  const questionMessage = place ? messageOf(request) : messages.findLast(({ role }) => role === "user");
  const title = chat?.title ?? titleOf(textOf(questionMessage ?? { parts: [] }));
  const question =
    place?.question.id ?? messages.at(-1)?.id ?? continuation?.question ?? (await questionOf(send, chat));
  const row = {
    id: send.turnId,
    userId,
    chatId: chat?.id ?? request.chatId,
    userMessageId: question,
    messageId: uuidv7(),
    clientKey: request.clientKey,
    fingerprint,
    request: {
      ...storedRequest,
      chatTitle: title,
      begunSeq: prefixLengthOf(continuation),
      questionName: nameOf(request, place),
    },
    lastSeq: continuation && (prefixLengthOf(continuation) ?? 0) + continuation.decisionChunks.length,
  };
  const requestedParent = request.trigger === "answer-prompt" ? request.parentId : undefined;
  const parentId = place ? (place.unknown[0] ?? place.question).parentId : (requestedParent ?? chat?.last?.id ?? null);
  const rows = [...questionRows(messages, parentId, request), answerRow(row)];
  const listed = request.trigger !== "answer-prompt" || (request.listed ?? false);
  const insert = (sql: Statements, at: { newTitle: string } | { updatedAt?: string }) =>
    insertTurn(sql, row, { ...at, listed }, rows, ceilings, env().LEASE_MS);

  const ceilings = ceilingsOf(request, storedRequest);
  const { sql } = pool();
  let turn: TurnRow | null;
  try {
    if (chat && continuation)
      turn = await sql.begin(async (tx) => {
        const inserted = await insert(tx, chat);
        if (inserted) await insertChunks(tx, inserted.id, logPrefixOf(inserted, storedRequest, continuation));
        return inserted;
      });
    else if (chat) turn = await insert(sql, chat);
    else if (request.chatNumber === undefined && !isRetry) turn = await insert(sql, { newTitle: title });
    // The client wants this number, or another send took the next one.
    else
      turn = await sql.begin(async (tx) => {
        const insertedChat = await insertChat(
          tx,
          { userId, id: row.chatId, number: request.chatNumber, title, listed },
          env().MAX_CHATS,
        );
        return insertedChat ? insert(tx, {}) : null;
      });
  } catch (error) {
    if (uniqueViolation(error, "chats")) return null;
    if (!uniqueViolation(error, "messages")) throw error;
    // Stored meanwhile, or the id belongs to another chat's message: look up what exists.
    if (place && !isRetry) return null;
    throw new AppError(
      "bad_request",
      "message.id: is already used by another message. Send a new id with a new message.",
      { cause: error },
    );
  }
  return (
    turn && {
      turn,
      ...(!chat?.last && (!place || messages[0]?.role === "user") && { history: messages as ChatMessage[] }),
    }
  );
}

function createsChat(request: TurnRequest): boolean {
  return request.trigger === "submit-message" || (request.trigger === "answer-prompt" && !request.parentId);
}

type IdentifiedMessage = NewMessage & { id: string };

/** Chained: each message is the parent of the next. */
function questionRows(messages: IdentifiedMessage[], parentId: string | null, request: TurnRequest): TurnMessage[] {
  const last = messages.length - 1;
  return messages.map((message, index) => ({
    id: message.id,
    parentId: messages[index - 1]?.id ?? parentId,
    turnId: null,
    role: message.role as "user" | "assistant",
    status: "complete",
    parts: message.parts,
    metadata: index === last && "metadata" in request ? (request.metadata ?? null) : (message.metadata ?? null),
    text: textOf(message).replaceAll("\0", ""),
  }));
}

function answerRow(turn: NewTurn): TurnMessage {
  const { messageId: id, userMessageId: parentId, id: turnId } = turn;
  return { id, parentId, turnId, role: "assistant", status: "running", parts: [], metadata: null, text: "" };
}

/** The log prefix of a turn before its run: the kept part of the answer it continues. */
export function logPrefixOf(
  turn: TurnRow,
  storedRequest: StoredRequest,
  continuation: Continuation | undefined,
): LoggedChunk[] {
  if (!continuation) return [];
  const begin = { ...turn, turnId: turn.id, modelId: storedRequest.model, createdAt: turn.createdAt.toISOString() };
  return numbered([
    ...opening({ ...begin, continues: storedRequest.continues }),
    ...keptChunksOf(continuation),
    ...continuation.decisionChunks,
  ]);
}

/** Number of prefix chunks, without decisions. */
function prefixLengthOf(continuation: Continuation | undefined): number | undefined {
  return continuation && openingLength + keptChunksOf(continuation).length;
}

function keptChunksOf({ prefixChunks }: Continuation): TurnChunk[] {
  return prefixChunks.flatMap(splitDelta);
}

/** `start` and the first `data-turn`. */
const openingLength = 2;

/** As read back from the log. */
function numbered(chunks: TurnChunk[]): LoggedChunk[] {
  return chunks.map((chunk, index) => {
    const json = JSON.stringify(chunk);
    return { seq: index + 1, chunk: JSON.parse(json) as TurnChunk, json };
  });
}

type NewMessage = Pick<ChatMessage, "role" | "parts"> & { id?: string; metadata?: { model: string } };

/** The client's messages that are not stored yet, oldest first. */
function newMessages(request: TurnRequest): NewMessage[] {
  if (request.trigger === "submit-message") return [{ ...request.message, role: "user" }];
  return request.trigger === "answer-prompt" ? request.prompt.messages : [];
}

function messageOf(request: TurnRequest): Pick<ChatMessage, "id" | "parts"> | undefined {
  return request.trigger === "submit-message" || request.trigger === "regenerate-message" ? request.message : undefined;
}

/** The unstored part of a client's history. */
function unstoredMessages(request: TurnRequest, { unknown, question }: HistoryPosition): IdentifiedMessage[] {
  const message = messageOf(request);
  return message && !question.stored ? [...unknown, { id: question.id, role: "user", parts: message.parts }] : unknown;
}

function nameOf(request: TurnRequest, place: HistoryPosition | undefined): string | undefined {
  const name = messageOf(request)?.id;
  return place && place.question.id !== name ? name : undefined;
}

/** The user message that a regenerated answer belongs to. */
async function questionOf({ userId, request }: Send, chat: SendState["chat"]): Promise<string> {
  const notFound = () => new AppError("not_found", "There is no such message in this chat.");
  const messageId = request.trigger === "regenerate-message" ? request.messageId : undefined;
  const requested = messageId ? await findMessage(userId, messageId) : null;
  if (messageId && requested?.chatId !== chat?.id) throw notFound();
  const message = requested ?? chat?.last;
  const question = message?.role === "user" ? message.id : message?.parentId;
  if (!question) throw notFound();
  return question;
}

/** Long enough to tell chats apart, short enough for one line of the list. */
const maxTitleLength = 80;

export function titleOf(text: string): string {
  // White space collapses, so look at a little more than the title's length, but never at all of a
  // long message.
  const line = visibleLine(text.trimStart().slice(0, 10 * maxTitleLength)) || "New chat";
  if (line.length <= maxTitleLength) return line;
  return `${truncate(line, maxTitleLength - 1).trimEnd()}…`;
}
