// Starting a turn: exactly once for a key, one at a time in a chat, nothing sent to a provider before the question and
// the turn are committed (docs/protocol.md §5, RELIABILITY I7, I8, I9).
import { v7 as uuidv7 } from "uuid";
import { findChat, insertChat, touchChat } from "@/db/chats";
import { type Database, database, foreignKeyViolation, uniqueViolation } from "@/db/client";
import { findMessage, insertMessage, listMessages } from "@/db/messages";
import { findRunningTurn, findTurnByKey, insertTurn, type TurnRow } from "@/db/turns";
import { env } from "@/lib/env";
import { AppError } from "@/lib/errors";
import { requireModel } from "@/lib/models/catalogue";
import { textOf } from "@/lib/turn/fold";
import { branchOf } from "./branch";
import { isDraining, whileStarting } from "./drain";
import { execute } from "./execute";
import { refund, spend } from "./quota";
import { requireSaneLength, type TurnRequest } from "./turn-request";

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
  if (request.trigger === "submit-message") requireSaneLength(request.message);
  const { id: model } = requireModel(request.model);
  await spend("turn", userId);

  const searchMode = request.searchMode ?? (request.documentIds ? "selected" : "all");
  const options = { model, searchMode, documentIds: request.documentIds };
  let turn: TurnRow;
  try {
    turn = await database().transaction((tx) => insertAll(tx, userId, request, options));
  } catch (error) {
    return afterConflict(userId, request, error);
  }
  keepAlive(execute(turn));
  return turn;
}

async function insertAll(tx: Database, userId: string, request: TurnRequest, options: object): Promise<TurnRow> {
  const { chatId } = request;
  if (request.trigger === "submit-message" && !(await findChat(userId, chatId, tx)))
    await insertChat(tx, { userId, id: chatId, title: titleOf(textOf(request.message)) });
  const question =
    request.trigger === "submit-message" ? request.message.id : await questionOf(tx, userId, chatId, request.messageId);

  // The turn comes first: its unique indexes decide between equal and competing sends before anything else is written.
  const turn = await insertTurn(
    tx,
    {
      id: uuidv7(),
      userId,
      chatId,
      userMessageId: question,
      messageId: uuidv7(),
      clientKey: request.clientKey,
      request: options,
    },
    env().LEASE_MS,
  );
  if (request.trigger === "submit-message") {
    const parentId = branchOf(await listMessages(userId, chatId, tx)).at(-1)?.id ?? null;
    const inserted = await insertMessage(tx, {
      userId,
      id: question,
      chatId,
      parentId,
      turnId: null,
      role: "user",
      status: "complete",
      parts: request.message.parts,
      metadata: request.metadata ?? null,
      text: textOf(request.message).replaceAll("\0", ""),
    });
    if (!inserted)
      throw new AppError(
        "bad_request",
        "message.id: is used by another message already. Send a new id with a new message.",
      );
  }
  await insertMessage(tx, {
    userId,
    id: turn.messageId,
    chatId,
    parentId: question,
    turnId: turn.id,
    role: "assistant",
    status: "running",
    parts: [],
    metadata: null,
    text: "",
  });
  await touchChat(tx, userId, chatId);
  return turn;
}

/** The user message that a regenerated answer answers. */
async function questionOf(tx: Database, userId: string, chatId: string, messageId?: string): Promise<string> {
  const notFound = () => new AppError("not_found", "There is no such message in this chat.");
  if (!(await findChat(userId, chatId, tx))) throw new AppError("not_found", "There is no such chat.");
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
  const running = await findRunningTurn(userId, request.chatId);
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
