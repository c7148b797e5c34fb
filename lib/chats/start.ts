// Starting a turn: exactly once for a key, one at a time in a chat, nothing sent to a provider before the question and
// the turn are committed (docs/protocol.md §5, RELIABILITY I7, I8, I9).
import { setTimeout as delay } from "node:timers/promises";
import { v7 as uuidv7 } from "uuid";
import { type ChatRow, findChat, findChatByNumber, insertChat, touchChat } from "@/db/chats";
import { type Database, database, foreignKeyViolation, uniqueViolation } from "@/db/client";
import { findMessage, insertMessage, listMessages } from "@/db/messages";
import { findRunningTurn, findTurnByKey, insertChunks, insertTurn, type TurnRow } from "@/db/turns";
import { isDatabaseAway } from "@/lib/database-away";
import { env } from "@/lib/env";
import { AppError } from "@/lib/errors";
import { logger } from "@/lib/logger";
import { requireModel } from "@/lib/models/catalogue";
import { opening } from "@/lib/turn/begun";
import type { ChatMessage, LoggedChunk, TurnChunk } from "@/lib/turn/chunks";
import { textOf } from "@/lib/turn/fold";
import { splitDelta } from "@/lib/turn/merge";
import type { TurnPrompt } from "@/lib/turn/turn-context";
import { branchOf } from "./branch";
import { type Continuation, requireContinuation } from "./continuation";
import { isDraining, whileStarting } from "./drain";
import { execute } from "./execute";
import { refund, spend } from "./quota";
import { requireSaneLength, type TurnRequest, type TurnSettings } from "./turn-request";

/** Keeps a promise alive after the response is gone: Next's `after`. */
export type KeepAlive = (work: Promise<void>) => void;

/**
 * Starts the turn and lets go of it, or returns the turn this key started before. Follow it with `followTurn`.
 * Throws unavailable while the server drains, turn_running when the chat is busy with another turn.
 */
export function startTurn(userId: string, request: TurnRequest, keepAlive: KeepAlive): Promise<TurnRow> {
  return whileStarting(() => start(userId, request, keepAlive));
}

async function start(userId: string, request: TurnRequest, keepAlive: KeepAlive): Promise<TurnRow> {
  const earlier = await findTurnByKey(userId, request.clientKey);
  if (earlier) return earlier;
  if (isDraining())
    throw new AppError("unavailable", "The server is restarting. Nothing was sent; try again in a moment.", {
      retryAfter: 2,
    });
  requireSaneLength(newMessages(request));
  const continuation =
    request.trigger === "continue-message"
      ? await requireContinuation(userId, request.chatId, request.messageId)
      : undefined;
  const options = continuation ? settingsAgain(continuation, request.model) : settingsOf(request);
  await spend("turn", userId);

  const turnId = uuidv7();
  let begun: Begun;
  try {
    begun = await database().transaction((tx) => insertAll(tx, turnId, userId, request, options, continuation));
  } catch (error) {
    if (!isDatabaseAway(error)) return afterConflict(userId, request, error);
    const found = await findStored(turnId, userId, request.clientKey, error);
    // Somebody else's, or taken over meanwhile: it has an owner.
    if (found.id !== turnId || found.epoch !== 1) return found;
    begun = { turn: found };
  }
  const { turn, history } = begun;
  keepAlive(execute(turn, beginningOf(turn, options, continuation), history));
  return turn;
}

/** For a database that comes back at once; the client, who waits, tries again after that. */
const rereadMs = { first: 50, most: 400, all: 1_500 };

/**
 * The answer to the transaction was lost, which may have been carried out all the same: then it is not to wait for the end of
 * its lease. Throws the error when nothing was stored, or nobody can say.
 */
async function findStored(turnId: string, userId: string, clientKey: string, error: unknown): Promise<TurnRow> {
  const untilMs = performance.now() + rereadMs.all;
  for (let waitMs = rereadMs.first; ; waitMs = Math.min(2 * waitMs, rereadMs.most)) {
    try {
      const found = await findTurnByKey(userId, clientKey);
      if (!found) throw error;
      logger.warn({ err: error, turnId, stored: found.id }, "the answer to a send's commit was lost, the send was not");
      return found;
    } catch (again) {
      if (again === error || !isDatabaseAway(again) || performance.now() > untilMs) throw error;
      await delay(waitMs);
    }
  }
}

/** Throws for a model that is not offered. */
function settingsOf(request: TurnRequest): TurnSettings {
  const { id: model } = requireModel(request.model);
  return {
    model,
    modelName: request.model ?? model,
    searchMode: request.searchMode ?? (request.documentIds ? "selected" : "all"),
    documentIds: request.documentIds,
    view: request.view,
    ...(request.trigger === "answer-prompt" && { prompt: callOf(request.prompt) }),
  };
}

/** As the answer that is continued was asked for; only the model may be another one. */
function settingsAgain({ settings, messageId }: Continuation, modelName = settings.modelName): TurnSettings {
  const { id: model } = requireModel(modelName ?? settings.model);
  return { ...settings, model, modelName: modelName ?? model, continues: messageId };
}

/** A turn whose row is stored, and its branch where that is known without asking. */
type Begun = { turn: TurnRow; history?: ChatMessage[] };

async function insertAll(
  tx: Database,
  turnId: string,
  userId: string,
  request: TurnRequest,
  options: TurnSettings,
  continuation: Continuation | undefined,
): Promise<Begun> {
  const messages = newMessages(request).map((message) => ({ id: uuidv7(), ...message }));
  const chat = await chatFor(tx, userId, request, messages);
  const question =
    continuation?.question ??
    (request.trigger === "regenerate-message"
      ? await questionOf(tx, userId, chat.id, request.messageId)
      : (messages.at(-1)?.id as string));
  const begunSeq = continuation && openingLength + keptOf(continuation).length;

  // The turn comes first: its unique indexes decide between equal and competing sends before anything else is written.
  const turn = await insertTurn(
    tx,
    {
      id: turnId,
      userId,
      chatId: chat.id,
      userMessageId: question,
      messageId: uuidv7(),
      clientKey: request.clientKey,
      request: { ...options, chatTitle: chat.title, begunSeq },
      lastSeq: begunSeq,
    },
    env().LEASE_MS,
  );
  if (messages.length > 0) {
    let parentId = chat.made ? null : (branchOf(await listMessages(userId, chat.id, tx)).at(-1)?.id ?? null);
    for (const message of messages) {
      const inserted = await insertMessage(tx, {
        userId,
        id: message.id,
        chatId: chat.id,
        parentId,
        turnId: null,
        role: message.role as "user" | "assistant",
        status: "complete",
        parts: message.parts,
        metadata: request.trigger === "submit-message" ? (request.metadata ?? null) : null,
        text: textOf(message).replaceAll("\0", ""),
      });
      if (!inserted)
        throw new AppError(
          "bad_request",
          "message.id: is used by another message already. Send a new id with a new message.",
        );
      parentId = message.id;
    }
  }
  await insertMessage(tx, {
    userId,
    id: turn.messageId,
    chatId: chat.id,
    parentId: question,
    turnId: turn.id,
    role: "assistant",
    status: "running",
    parts: [],
    metadata: null,
    text: "",
  });
  if (!chat.made) await touchChat(tx, userId, chat.id);
  const stored = beginningOf(turn, options, continuation);
  if (stored.length > 0) await insertChunks(tx, turn.id, stored);
  return { turn, ...(chat.made && { history: messages as ChatMessage[] }) };
}

/** What the log of a turn holds before its run: what is kept of the answer that it continues. */
function beginningOf(turn: TurnRow, options: TurnSettings, continuation: Continuation | undefined): LoggedChunk[] {
  if (!continuation) return [];
  const begin = { ...turn, turnId: turn.id, modelId: options.model, createdAt: turn.createdAt.toISOString() };
  return numbered([...opening({ ...begin, continues: options.continues }), ...keptOf(continuation)]);
}

function keptOf({ kept }: Continuation): TurnChunk[] {
  return kept.flatMap(splitDelta);
}

/** `start` and the first `data-turn`. */
const openingLength = 2;

/** As they are read back. */
function numbered(chunks: TurnChunk[]): LoggedChunk[] {
  return chunks.map((chunk, index) => {
    const json = JSON.stringify(chunk);
    return { seq: index + 1, chunk: JSON.parse(json) as TurnChunk, json };
  });
}

/** The messages have rows of their own. */
function callOf({ messages: _, ...call }: TurnPrompt): Omit<TurnPrompt, "messages"> {
  return call;
}

type NewMessage = Pick<ChatMessage, "role" | "parts"> & { id?: string };

/** What the client says that is not stored yet, oldest first. */
function newMessages(request: TurnRequest): NewMessage[] {
  if (request.trigger === "submit-message") return [{ ...request.message, role: "user" }];
  return request.trigger === "answer-prompt" ? request.prompt.messages : [];
}

/** The chat the turn is for; made when there is none, titled by the question: then it is empty and as new as the turn. */
async function chatFor(
  tx: Database,
  userId: string,
  { chatId: id, chatNumber: number, trigger }: TurnRequest,
  messages: NewMessage[],
): Promise<Pick<ChatRow, "id" | "title"> & { made: boolean }> {
  const find = () => (number === undefined ? findChat(userId, id, tx) : findChatByNumber(userId, number, tx));
  const found = await find();
  if (found) return { ...found, made: false };
  if (trigger === "regenerate-message" || trigger === "continue-message")
    throw new AppError("not_found", "There is no such chat.");
  const question = messages.findLast(({ role }) => role === "user");
  const made = await insertChat(tx, { userId, id, number, title: titleOf(textOf(question ?? { parts: [] })) });
  // A send at the same time was faster: its chat is the one.
  const chat = made ?? (await find());
  if (!chat) throw new Error(`chat ${id} was neither made nor found`);
  return { ...chat, made: made !== null };
}

/** The user message that a regenerated answer answers. */
async function questionOf(tx: Database, userId: string, chatId: string, messageId?: string): Promise<string> {
  const notFound = () => new AppError("not_found", "There is no such message in this chat.");
  const message = messageId
    ? await findMessage(userId, messageId, tx)
    : branchOf(await listMessages(userId, chatId, tx)).at(-1);
  if (!message || message.chatId !== chatId) throw notFound();
  if (message.role === "user") return message.id;
  if (!message.parentId) throw notFound();
  return message.parentId;
}

/** Two calls met: the equal send attaches to the winner's turn, the competing one is told which turn runs. */
async function afterConflict(userId: string, request: TurnRequest, error: unknown): Promise<TurnRow> {
  if (foreignKeyViolation(error))
    throw new AppError("not_found", "This chat was deleted meanwhile. Nothing was sent.", { cause: error });
  if (!uniqueViolation(error)) throw error;
  const winner = await findTurnByKey(userId, request.clientKey);
  if (winner) {
    await refund("turn", userId);
    return winner;
  }
  const { chatId, chatNumber } = request;
  const chat = chatNumber === undefined ? { id: chatId } : await findChatByNumber(userId, chatNumber);
  const running = chat && (await findRunningTurn(userId, chat.id));
  throw new AppError("turn_running", "This chat is still answering. Wait for the answer or stop it, then send again.", {
    ...(running ? { details: { turnId: running.id } } : {}),
    cause: error,
  });
}

/** Long enough to tell chats apart, short enough for one line of the list. */
const maxTitleLength = 80;

function titleOf(text: string): string {
  const line = text.replaceAll("\0", "").replace(/\s+/g, " ").trim();
  if (line.length <= maxTitleLength) return line;
  // Half of a surrogate pair is no character.
  const head = line.slice(0, maxTitleLength - 1).replace(/[\ud800-\udbff]$/, "");
  return `${head.trimEnd()}…`;
}
