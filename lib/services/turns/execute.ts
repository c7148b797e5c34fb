// Executes a turn: gives the pure run its ports and the log its chunks. Belongs to the server, not
// to a request.
import { randomBytes } from "node:crypto";
import { setTimeout as delay, setImmediate } from "node:timers/promises";
import { listBranch } from "@/db/messages";
import type { TurnRow } from "@/db/turns";
import { unlessAborted } from "@/lib/bounded-wait";
import { isDatabaseTimeout, isDatabaseUnavailable } from "@/lib/database-unavailable";
import { env } from "@/lib/env";
import { trackWork } from "@/lib/event-loop";
import { turnLog } from "@/lib/log/turn-log";
import { reportTurn } from "@/lib/log/turn-report";
import { logger } from "@/lib/logger";
import { providerSecrets, requireModel } from "@/lib/models/catalogue";
import { contextOf, unlimitedContext } from "@/lib/models/context";
import { providerExcerpt } from "@/lib/models/error-excerpt";
import { classifyFailure, deadlineError } from "@/lib/models/failure";
import { failureFacts } from "@/lib/models/failure-facts";
import { onModelPhase } from "@/lib/models/model-progress";
import { attachHold } from "@/lib/models/text-hold";
import { ground } from "@/lib/retrieval/ground";
import { countDocuments, search } from "@/lib/retrieval/search";
import { outputCapOf } from "@/lib/services/quotas/budget";
import { toolsFor } from "@/lib/tools/registry";
import { ChunkState } from "@/lib/turn/chunk-state";
import type { ChatMessage, LoggedChunk, TurnChunk, TurnError } from "@/lib/turn/chunks";
import { endTurn, interruptedError } from "@/lib/turn/ending";
import { textOf } from "@/lib/turn/fold";
import { startChunk } from "@/lib/turn/log-prefix";
import { runTurn } from "@/lib/turn/run";
import type { Halt, RunInput, RunPorts } from "@/lib/turn/run-input";
import type { TurnPrompt } from "@/lib/turn/turn-input";
import { clientTools } from "./client-tools";
import { modelCall } from "./model-call";
import { type StoredRequest, storedRequestOf } from "./stored-request";

/** The turn fields a run needs. */
type RunnableTurn = Pick<
  TurnRow,
  "id" | "userId" | "chatId" | "userMessageId" | "messageId" | "request" | "epoch" | "createdAt"
>;

/**
 * Chunks before yielding to the event loop: milliseconds of a burst, seconds of an ordinary answer.
 */
const chunksPerSlice = 64;

/**
 * Runs the turn, after its log prefix, to its terminal or until another process takes over. A turn
 * past its deadline ends as failed. `history` is the branch up to and including the question; read
 * from the database if omitted. Never rejects.
 */
export async function execute(turn: RunnableTurn, stored: LoggedChunk[] = [], history?: ChatMessage[]): Promise<void> {
  const log = turnLog();
  const writer = log.open(turn.id, turn.epoch, stored);
  attachHold(writer.signal, log.hold);
  const state = new ChunkState(stored.map(({ chunk }) => chunk));
  let hasOutput = stored.length > 0;
  const startMs = performance.now();
  const deadline = setTimeout(() => writer.halt({ status: "failed", error: deadlineError }), env().TURN_DEADLINE_MS);
  try {
    let chunks = 0;
    for await (const chunk of chunksOf(turn, stored, history, writer.signal)) {
      // A burst would pass through all the streams without yielding.
      if (++chunks % chunksPerSlice === 0) await setImmediate();
      hasOutput = true;
      state.apply(chunk);
      const backpressure = writer.append(chunk);
      if (backpressure) await backpressure;
    }
  } catch (error) {
    // A bug in the run, or a failure before it: the turn still needs its opening and one terminal.
    const halted = writer.signal.aborted;
    if (!halted) logger.error({ err: error, turnId: turn.id }, "turn failed");
    if (!hasOutput) await writer.append(startChunk(identityOf(turn)));
    const halt: Halt = halted ? writer.signal.reason : { status: "failed", error: failureOf(error) };
    for (const chunk of endTurn(state, { ...halt, turnId: turn.id })) {
      state.apply(chunk);
      await writer.append(chunk);
    }
  }
  const outcome = await writer.ended;
  clearTimeout(deadline);
  const { id: turnId, userId } = turn;
  const durationMs = performance.now() - startMs;
  // A lost turn is reported by the process that ends it.
  if (outcome === "lost") return;
  const { model } = storedRequestOf(turn);
  const { metadata, responseId } = state;
  reportTurn({ turnId, userId, model, metadata, durationMs });
  if (responseId && metadata.status !== "complete") await cancelAnswer(model, responseId);
}

/** The provider would keep generating an answer that nobody will read. */
async function cancelAnswer(modelId: string, responseId: string): Promise<void> {
  try {
    await (await requireModel(modelId)).background?.cancel(responseId);
  } catch (error) {
    logger.warn({ err: error, model: modelId }, "an answer in the background could not be cancelled");
  }
}

function failureOf(error: unknown): TurnError {
  return isDatabaseUnavailable(error) ? { ...interruptedError, code: "storage" } : classifyFailure(error);
}

/** Backoff between read attempts, as for commits. */
const retryMs = { first: 50, max: 1_000 };
/** A read that hits the database's time limit this often is too large; the database is not away. */
const maxSlowReads = 3;

/**
 * Retries a turn's reads before the model call while the database is away, until the turn is
 * halted. A pending query does not keep the turn open.
 */
async function retryWhileUnavailable<T>(read: () => Promise<T>, signal: AbortSignal): Promise<T> {
  let slowReads = 0;
  for (let waitMs = retryMs.first; ; waitMs = Math.min(waitMs * 2, retryMs.max)) {
    try {
      return await unlessAborted(read(), signal);
    } catch (error) {
      if (signal.aborted || !isDatabaseUnavailable(error)) throw error;
      if (isDatabaseTimeout(error) && ++slowReads === maxSlowReads) throw error;
      await delay(waitMs);
    }
  }
}

/** The provider's own error text, if the operator wants it logged. */
function providerTextOf(error: unknown, sent: string): { provider?: string } {
  const { LOG_PROVIDER_ERRORS, AUTH_SECRET, DATABASE_URL } = env();
  if (LOG_PROVIDER_ERRORS === "off") return {};
  const secrets = [...providerSecrets(), AUTH_SECRET, DATABASE_URL].filter((secret) => secret !== undefined);
  const provider = providerExcerpt(error, secrets, sent);
  return provider ? { provider } : {};
}

function identityOf(turn: RunnableTurn) {
  const { id: turnId, chatId, messageId, userMessageId } = turn;
  const { model: modelId, continues } = storedRequestOf(turn);
  return { turnId, chatId, messageId, userMessageId, modelId, continues, createdAt: turn.createdAt.toISOString() };
}

/**
 * For longer chats the model gets the end, which is more than any context holds. Always includes
 * the question.
 */
const historyLimits = { maxMessages: 1_000, maxBytes: 4_000_000 };

type History = Pick<RunInput, "history" | "historyIsCut">;

async function readHistory({ userId, chatId, userMessageId }: RunnableTurn): Promise<History> {
  const branch = await listBranch(userId, chatId, { leafId: userMessageId, ...historyLimits });
  // Some providers refuse a conversation that begins with an answer.
  const rows = branch.slice(
    Math.max(
      0,
      branch.findIndex(({ role }) => role === "user"),
    ),
  );
  const history = rows.map(
    ({ id, role, parts, metadata }) => ({ id, role, parts, metadata: metadata ?? undefined }) as ChatMessage,
  );
  return { history, historyIsCut: Boolean(rows[0]?.parentId) };
}

async function* chunksOf(
  turn: RunnableTurn,
  stored: LoggedChunk[],
  knownHistory: ChatMessage[] | undefined,
  signal: AbortSignal,
): AsyncGenerator<TurnChunk> {
  const { userId } = turn;
  const storedRequest = storedRequestOf(turn);
  const documentIds = storedRequest.searchMode === "selected" ? (storedRequest.documentIds ?? []) : undefined;
  const ready = await requireModel(storedRequest.model);
  const { id: modelId, abilities } = ready;
  const { history: messages, historyIsCut } = knownHistory
    ? { history: knownHistory, historyIsCut: false }
    : await retryWhileUnavailable(() => readHistory(turn), signal);
  const history = insertNotes(messages, storedRequest.prompt?.notes);
  let sourceText = "";
  const ports: RunPorts = {
    // A client that sends its own history manages its length: it gets the provider's refusal rather
    // than a cut it cannot see.
    ...(storedRequest.prompt && !storedRequest.prompt.fitsContext ? unlimitedContext : contextOf(ready)),
    nowMs: () => performance.now(),
    countDocuments: () => retryWhileUnavailable(() => countDocuments(userId, documentIds), signal),
    search: async (question) => {
      const sources = await retryWhileUnavailable(
        () => search(userId, question, documentIds ? { documentIds } : {}),
        signal,
      );
      sourceText = sources.map(({ text }) => text).join("\n");
      return sources;
    },
    fenceCode: () => randomBytes(8).toString("hex"),
    classify: classifyFailure,
    ground: (answer, sources) => {
      const end = trackWork(`grounding of turn ${turn.id}`);
      const support = ground(answer, sources);
      end();
      return support;
    },
    onModelPhase: (listener) => onModelPhase(signal, listener),
    report: (error) => {
      const sent = `${sourceText}\n${JSON.stringify(history)}\n${history.map(textOf).join("\n")}`;
      const reported = failureFacts(error);
      const facts = {
        err: error,
        turnId: turn.id,
        model: modelId,
        ...(reported && { reported }),
        ...providerTextOf(error, sent),
      };
      logger.warn(facts, "turn failed");
    },
  };
  yield* runTurn(
    {
      ...identityOf(turn),
      price: abilities.price,
      history,
      historyIsCut,
      question: textOf(history.findLast(({ role }) => role === "user") ?? { parts: [] }),
      searchMode: storedRequest.searchMode,
      canAsk: storedRequest.canAsk ?? false,
      logPrefix: stored.map(({ chunk }) => chunk),
      resumesUpstream: ready.background !== undefined,
      tools:
        env().TOOLS === "on" && !storedRequest.prompt
          ? toolsFor(userId, (error) => logger.error({ err: error, turnId: turn.id }, "tool failed"))
          : undefined,
      ...promptOf(storedRequest),
      ...modelCall(ready, storedRequest),
    },
    ports,
    signal,
  );
}

/**
 * Call options: the client's, where its dialect supports them, within the output cap. A client that
 * sends its own history runs its own tools and does not get the server's.
 */
function promptOf(
  settings: StoredRequest,
): Pick<RunInput, "settings" | "instructions" | "clientRunsTools" | "repeats" | "tools" | "toolChoice"> {
  const { prompt, call = prompt } = settings;
  const shared = { settings: { ...call?.settings, maxOutputTokens: outputCapOf(settings) } };
  if (!prompt) return shared;
  const { instructions, tools, toolChoice } = prompt;
  return {
    ...shared,
    instructions,
    // If the client has no tools, a call the model invents is the model's mistake.
    clientRunsTools: Boolean(tools?.length || prompt.fields?.functions),
    repeats: prompt.repeats,
    ...(tools && { tools: clientTools(tools), toolChoice }),
  };
}

/** Inserts the client's mid-conversation instructions. */
function insertNotes(history: ChatMessage[], notes: TurnPrompt["notes"] = []): ChatMessage[] {
  return notes.reduceRight((messages, { behind, text }) => {
    const note: ChatMessage = { id: "", role: "system", parts: [{ type: "text", text }] };
    return messages.toSpliced(Math.max(0, history.length - behind), 0, note);
  }, history);
}
