// Starts a turn: exactly once per key, one at a time per chat, and nothing goes to a provider
// before question and turn are committed (docs/protocol.md §5, RELIABILITY I7, I8, I9).
import { setTimeout as delay } from "node:timers/promises";
import { v7 as uuidv7 } from "uuid";
import { uniqueViolation } from "@/db/client";
import { findRunningTurn, findTurnByKey, type TurnRow } from "@/db/turns";
import { TurnRefused } from "@/db/usage";
import { isDatabaseUnavailable } from "@/lib/database-unavailable";
import { AppError } from "@/lib/errors";
import { refund, spend } from "@/lib/limits";
import { logger } from "@/lib/logger";
import { type ReadyModel, requireModel } from "@/lib/models/catalogue";
import { localFields } from "@/lib/models/request-fields";
import { turnRefusedError } from "@/lib/services/quotas/budget";
import type { TurnPrompt } from "@/lib/turn/turn-input";
import { isAnswering, replaces } from "./busy-chat";
import {
  type Continuation,
  forModel,
  requireContinuation,
  requireDecidedContinuation,
  requireResultsContinuation,
  resultsKey,
} from "./continuation";
import { isDraining, trackStart } from "./drain";
import { execute } from "./execute";
import { fingerprintOf, requireSameContent } from "./fingerprint";
import { modelCall } from "./model-call";
import { stopTurnRow } from "./stop";
import { logPrefixOf, placeFor, readState, type Send, type StoredTurn, storeSend } from "./store-send";
import type { StoredRequest } from "./stored-request";
import { requireTurnLength, type TurnRequest } from "./turn-request";

/** Keeps a promise alive after the response ends: Next's `after`. */
export type KeepAlive = (work: Promise<void>) => void;

/**
 * Starts the turn without waiting for it, or returns the turn this key started earlier. Follow it
 * with `followTurn`. Throws unavailable during a drain, turn_running if the chat is busy with
 * another turn, key_reused if the key belongs to a different request. A running answer that the
 * client's history has moved past is ended first.
 */
export function startTurn(userId: string, original: TurnRequest, keepAlive: KeepAlive): Promise<TurnRow> {
  return trackStart(async () => {
    const request =
      original.trigger === "answer-calls"
        ? { ...original, clientKey: await resultsKey(userId, original.chatId, original) }
        : original;
    for (let ended = 0; ; ended++) {
      const turn = await start(userId, request, keepAlive);
      if (!("replaced" in turn)) return turn;
      if (ended === maxReplaced) throw turnRunningError(turn.replaced);
      await stopTurnRow(turn.replaced);
    }
  });
}

/** Retries when another send won the race after an answer was ended. */
const maxReplaced = 5;

/** The turn that must end before the send can start. */
type Replaced = { replaced: TurnRow };

async function start(userId: string, request: TurnRequest, keepAlive: KeepAlive): Promise<TurnRow | Replaced> {
  const fingerprint = fingerprintOf(request);
  const state = await readState(userId, request);
  const earlier = state.turnId && (await findTurnByKey(userId, request.clientKey));
  if (earlier && isFromOtherChat(earlier, request))
    return start(userId, { ...request, clientKey: `${request.chatId} ${request.clientKey}` }, keepAlive);
  if (earlier) return requireSameContent(earlier, fingerprint);
  if (isDraining())
    throw new AppError("unavailable", "The server is restarting. Nothing was sent; try again in a moment.", {
      retryAfter: 2,
    });
  requireTurnLength(request);
  let found: Continuation | undefined;
  try {
    found = await continuationFor(userId, request);
  } catch (error) {
    // An equal send may have started since: its answer is now the last in view.
    const winner = AppError.is(error) && (await findTurnByKey(userId, request.clientKey));
    if (!winner) throw error;
    return requireSameContent(winner, fingerprint);
  }
  const storedRequest = await (found ? continuedRequest(found, request) : requestToStore(request));
  const continuation = found && forModel(found, storedRequest.model);
  const place = await placeFor(userId, request, state.chat);
  await spend(["turn"], { user: userId });

  const turnId = uuidv7();
  const send: Send = { turnId, userId, request, fingerprint, storedRequest, continuation, place };
  let stored: StoredTurn | null;
  try {
    stored = await storeSend(send, state);
  } catch (error) {
    if (uniqueViolation(error, "turns")) return afterConflict(send, error);
    if (error instanceof TurnRefused) return afterRefusal(send, error);
    if (!isDatabaseUnavailable(error)) throw error;
    const found = await findStored(turnId, userId, request.clientKey, error);
    // Started by another send, or taken over meanwhile: it has an owner.
    if (found.id !== turnId || found.epoch !== 1) return requireSameContent(found, fingerprint);
    stored = { turn: found };
  }
  // An equal send won.
  if (!stored) return afterConflict(send);
  const { turn, history } = stored;
  keepAlive(execute(turn, logPrefixOf(turn, storedRequest, continuation), history));
  return turn;
}

async function continuationFor(userId: string, request: TurnRequest): Promise<Continuation | undefined> {
  if (request.trigger === "continue-message") return requireContinuation(userId, request.chatId, request.messageId);
  if (request.trigger === "answer-calls") return requireResultsContinuation(userId, request.chatId, request);
  if (request.trigger === "answer-approvals")
    return requireDecidedContinuation(userId, request.chatId, request.decisions);
}

/** For brief database outages; the waiting client retries after that. */
const rereadMs = { first: 50, max: 400, total: 1_500 };

/**
 * The statement's answer was lost, but it may have committed: find the turn now rather than let its
 * lease expire. Throws the original error if nothing was stored or that is unknown.
 */
async function findStored(turnId: string, userId: string, clientKey: string, error: unknown): Promise<TurnRow> {
  const untilMs = performance.now() + rereadMs.total;
  for (let waitMs = rereadMs.first; ; waitMs = Math.min(2 * waitMs, rereadMs.max)) {
    try {
      const found = await findTurnByKey(userId, clientKey);
      if (!found) throw error;
      logger.warn({ err: error, turnId, stored: found.id }, "the answer to a send's commit was lost, the send was not");
      return found;
    } catch (retryError) {
      if (retryError === error || !isDatabaseUnavailable(retryError) || performance.now() > untilMs) throw error;
      await delay(waitMs);
    }
  }
}

/** Throws if the model is not offered. */
async function requestToStore(request: TurnRequest): Promise<StoredRequest> {
  const ready = await requireModel(request.model);
  const { id: model } = ready;
  const call = request.trigger === "submit-message" ? request.call : undefined;
  const prompt = request.trigger === "answer-prompt" ? request.prompt : undefined;
  // Throws for a field this model's provider does not support.
  modelCall(ready, { call, prompt });
  if (prompt) requireReadable(prompt, ready);
  return {
    model,
    modelName: request.model ?? model,
    searchMode: request.searchMode ?? (request.documentIds ? "selected" : "all"),
    documentIds: request.documentIds,
    view: request.view,
    ...(request.canAsk && { canAsk: true }),
    ...(call && { call }),
    ...(prompt && { prompt: callOf(prompt) }),
  };
}

/** Throws for prompt content that the model cannot be sent or cannot read. */
function requireReadable({ messages }: TurnPrompt, { fields, abilities }: ReadyModel): void {
  const parts = messages.flatMap((message) => message.parts);
  if (!fields.names && parts.some((part) => part.type === "text" && part.providerMetadata?.openaiCompatible?.name))
    throw new AppError(
      "bad_request",
      "messages: the provider of this model does not accept `name` in messages. Leave it out.",
    );
  const sees = abilities.vision ?? fields !== localFields;
  if (!sees && parts.some((part) => part.type === "file"))
    throw new AppError(
      "bad_request",
      "messages: this model reads only text. Choose one that accepts files, or leave the files out.",
    );
}

/** That of the continued answer; only the model may change. */
async function continuedRequest(
  { storedRequest, messageId }: Continuation,
  { model: modelName = storedRequest.modelName, canAsk }: TurnRequest,
): Promise<StoredRequest> {
  const ready = await requireModel(modelName ?? storedRequest.model);
  const { id: model } = ready;
  modelCall(ready, storedRequest);
  return { ...storedRequest, model, modelName: modelName ?? model, continues: messageId, ...(canAsk && { canAsk }) };
}

/**
 * Two sends collided: an equal send attaches to the winner's turn, one that moves past the running
 * answer ends it, and any other gets turn_running. None is counted.
 */
async function afterConflict(send: Send, cause?: unknown): Promise<TurnRow | Replaced> {
  const { userId, request, fingerprint, place } = send;
  refund(["turn"], { user: userId });
  const winner = await findTurnByKey(userId, request.clientKey);
  if (winner) return requireSameContent(winner, fingerprint);
  const { chat } = await readState(userId, request);
  const running = chat && (await findRunningTurn(userId, chat.id));
  if (running && (await isAnswering(running, request, fingerprint, place))) return running;
  if (running && place && replaces(running, request, place)) return { replaced: running };
  throw turnRunningError(running, cause);
}

function turnRunningError(running: TurnRow | null, cause?: unknown): AppError {
  return new AppError(
    "turn_running",
    "This chat is still answering. Wait for the answer or stop it, then send again.",
    {
      ...(running ? { details: { turnId: running.id } } : {}),
      cause,
    },
  );
}

/** An equal send may have taken the last slot, or the chat may be busy anyway: then report that. */
async function afterRefusal(send: Send, refusal: TurnRefused): Promise<TurnRow | Replaced> {
  const { userId, request } = send;
  const { turnId, chat } = await readState(userId, request);
  if (turnId || (chat && (await findRunningTurn(userId, chat.id)))) return afterConflict(send);
  throw turnRefusedError(refusal);
}

/** Some clients number messages per chat: an id is then unique within one chat only. */
function isFromOtherChat(turn: TurnRow, { trigger, keyless, chatId, chatIsNew, ...request }: TurnRequest): boolean {
  const hasHistory = trigger === "submit-message" && "before" in request && request.before !== undefined;
  return hasHistory && keyless === true && !chatIsNew && turn.chatId !== chatId;
}

/** The messages have their own rows. */
function callOf({ messages: _, ...call }: TurnPrompt): Omit<TurnPrompt, "messages"> {
  return call;
}
