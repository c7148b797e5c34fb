// Starting a turn: exactly once for a key, one at a time in a chat, nothing sent to a provider before the question and
// the turn are committed (docs/protocol.md §5, RELIABILITY I7, I8, I9).
import { setTimeout as delay } from "node:timers/promises";
import { v7 as uuidv7 } from "uuid";
import { uniqueViolation } from "@/db/client";
import { findRunningTurn, findTurnByKey, type TurnRow } from "@/db/turns";
import { TurnRefused } from "@/db/usage";
import { isDatabaseAway } from "@/lib/database-away";
import { AppError } from "@/lib/errors";
import { refund, spend } from "@/lib/limits";
import { logger } from "@/lib/logger";
import { requireModel } from "@/lib/models/catalogue";
import type { TurnPrompt } from "@/lib/turn/turn-context";
import { refusalOf } from "./budget";
import { type Continuation, forModel, requireAsked, requireContinuation } from "./continuation";
import { isDraining, whileStarting } from "./drain";
import { execute } from "./execute";
import { fingerprintOf, requireSameContent } from "./fingerprint";
import { type Begun, beginningOf, readState, storeSend } from "./store-send";
import { requireSaneLength, type TurnRequest, type TurnSettings } from "./turn-request";

/** Keeps a promise alive after the response is gone: Next's `after`. */
export type KeepAlive = (work: Promise<void>) => void;

/**
 * Starts the turn and lets go of it, or returns the turn this key started before. Follow it with `followTurn`.
 * Throws unavailable while the server drains, turn_running when the chat is busy with another turn, key_reused when the key
 * belongs to a turn that was asked for something else.
 */
export function startTurn(userId: string, request: TurnRequest, keepAlive: KeepAlive): Promise<TurnRow> {
  return whileStarting(() => start(userId, request, keepAlive));
}

async function start(userId: string, request: TurnRequest, keepAlive: KeepAlive): Promise<TurnRow> {
  const fingerprint = fingerprintOf(request);
  const state = await readState(userId, request);
  const earlier = state.turnId && (await findTurnByKey(userId, request.clientKey));
  if (earlier) return requireSameContent(earlier, fingerprint);
  if (isDraining())
    throw new AppError("unavailable", "The server is restarting. Nothing was sent; try again in a moment.", {
      retryAfter: 2,
    });
  requireSaneLength(request);
  let found: Continuation | undefined;
  try {
    found = await continuationFor(userId, request);
  } catch (error) {
    // An equal send may have begun since: its answer is now the last one in view.
    const winner = AppError.is(error) && (await findTurnByKey(userId, request.clientKey));
    if (!winner) throw error;
    return requireSameContent(winner, fingerprint);
  }
  const options = await (found ? settingsAgain(found, request) : settingsOf(request));
  const continuation = found && forModel(found, options.model);
  await spend(["turn"], { user: userId });

  const turnId = uuidv7();
  let begun: Begun | null;
  try {
    begun = await storeSend({ turnId, userId, request, fingerprint, options, continuation }, state);
  } catch (error) {
    if (uniqueViolation(error, "turns")) return afterConflict(userId, request, fingerprint, error);
    if (error instanceof TurnRefused) return afterRefusal(userId, request, fingerprint, error);
    if (!isDatabaseAway(error)) throw error;
    const found = await findStored(turnId, userId, request.clientKey, error);
    // Somebody else's, or taken over meanwhile: it has an owner.
    if (found.id !== turnId || found.epoch !== 1) return requireSameContent(found, fingerprint);
    begun = { turn: found };
  }
  // An equal send was faster.
  if (!begun) return afterConflict(userId, request, fingerprint);
  const { turn, history } = begun;
  keepAlive(execute(turn, beginningOf(turn, options, continuation), history));
  return turn;
}

async function continuationFor(userId: string, request: TurnRequest): Promise<Continuation | undefined> {
  if (request.trigger === "continue-message") return requireContinuation(userId, request.chatId, request.messageId);
  if (request.trigger === "answer-approvals") return requireAsked(userId, request.chatId, request.decisions);
}

/** For a database that comes back at once; the client, who waits, tries again after that. */
const rereadMs = { first: 50, most: 400, all: 1_500 };

/**
 * The answer to the statement was lost, which may have been carried out all the same: then it is not to wait for the end of
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
async function settingsOf(request: TurnRequest): Promise<TurnSettings> {
  const { id: model } = await requireModel(request.model);
  return {
    model,
    modelName: request.model ?? model,
    searchMode: request.searchMode ?? (request.documentIds ? "selected" : "all"),
    documentIds: request.documentIds,
    view: request.view,
    ...(request.canAsk && { canAsk: true }),
    ...(request.trigger === "answer-prompt" && { prompt: callOf(request.prompt) }),
  };
}

/** As the answer that is continued was asked for; only the model may be another one. */
async function settingsAgain(
  { settings, messageId }: Continuation,
  { model: modelName = settings.modelName, canAsk }: TurnRequest,
): Promise<TurnSettings> {
  const { id: model } = await requireModel(modelName ?? settings.model);
  return { ...settings, model, modelName: modelName ?? model, continues: messageId, ...(canAsk && { canAsk }) };
}

/** Two calls met: the equal send attaches to the winner's turn, the competing one is told which turn runs. Neither is counted. */
async function afterConflict(
  userId: string,
  request: TurnRequest,
  fingerprint: string,
  cause?: unknown,
): Promise<TurnRow> {
  refund(["turn"], { user: userId });
  const winner = await findTurnByKey(userId, request.clientKey);
  if (winner) return requireSameContent(winner, fingerprint);
  const { chat } = await readState(userId, request);
  const running = chat && (await findRunningTurn(userId, chat.id));
  throw new AppError("turn_running", "This chat is still answering. Wait for the answer or stop it, then send again.", {
    ...(running ? { details: { turnId: running.id } } : {}),
    cause,
  });
}

/** An equal send may have taken the last place, or the chat is busy anyway: then that is the answer. */
async function afterRefusal(
  userId: string,
  request: TurnRequest,
  fingerprint: string,
  refusal: TurnRefused,
): Promise<TurnRow> {
  const { turnId, chat } = await readState(userId, request);
  if (turnId || (chat && (await findRunningTurn(userId, chat.id)))) return afterConflict(userId, request, fingerprint);
  throw refusalOf(refusal);
}

/** The messages have rows of their own. */
function callOf({ messages: _, ...call }: TurnPrompt): Omit<TurnPrompt, "messages"> {
  return call;
}
