// Continues an answer that ended too early: a turn of its own, whose answer is a sibling of the old
// one and whose log starts with the old answer's chunks (docs/protocol.md §5, decision 0010).
import { isToolUIPart } from "ai";
import { findMessage, listBranch, type MessageRow } from "@/db/messages";
import { findTurn, findTurnByKey, type TurnRow } from "@/db/turns";
import { AppError } from "@/lib/errors";
import { declinedText, openRequests } from "@/lib/turn/approval";
import type { ChatMessage, TurnChunk } from "@/lib/turn/chunks";
import type { Cursor } from "@/lib/turn/cursor";
import { isCutOff } from "@/lib/turn/cut-off";
import { textOf } from "@/lib/turn/fold";
import { keptChunks, pendingAnswerChunks } from "@/lib/turn/log-prefix";
import { withoutState } from "@/lib/turn/provider-state";
import type { CallResult, Decision, Results } from "@/lib/turn/turn-input";
import { turnOfDecisions } from "./decisions";
import { type StoredRequest, storedRequestOf } from "./stored-request";

export type Continuation = {
  /** The answer being continued, and its question. */
  messageId: string;
  question: string;
  storedRequest: StoredRequest;
  /** Chunks of the new log after its opening. */
  prefixChunks: TurnChunk[];
  /**
   * The user's decisions on calls in it, or the client's results for them. They belong to the new
   * answer, which is therefore never restarted.
   */
  decisionChunks: TurnChunk[];
};

/**
 * Finds what to continue from. `messageId` defaults to the last answer in view. Throws not_found if
 * the chat has no such message, turn_running while it is being written, bad_request if it cannot be
 * continued.
 */
export async function requireContinuation(userId: string, chatId: string, messageId?: string): Promise<Continuation> {
  const answer = messageId ? await findMessage(userId, messageId) : await findLastAnswer(userId, chatId);
  if (answer?.chatId !== chatId) throw new AppError("not_found", "There is no such message in this chat.");
  const refuse = (why: string) => new AppError("bad_request", `messageId: ${why}`);
  if (answer.role !== "assistant") throw refuse("names a question. Only an answer can be continued.");
  if (answer.status === "running") throw answerRunningError(answer.turnId);
  const { parts, metadata } = answer as Pick<ChatMessage, "parts" | "metadata">;
  if (answer.status === "complete" && !isCutOff({ parts, metadata }))
    throw refuse("this answer is complete: there is nothing to continue.");
  if (answer.status === "failed" && textOf({ parts }).trim() === "")
    throw refuse("this answer has no text. Use regenerate-message to ask for it again.");
  return { ...(await originOf(userId, answer)), prefixChunks: keptChunks(parts), decisionChunks: [] };
}

/**
 * The answer that requested these decisions, ready to continue. Throws not_found if the chat has no
 * such answer, turn_running while it is being written, bad_request if nothing is pending or a call
 * is left undecided.
 */
export async function requireDecidedContinuation(
  userId: string,
  chatId: string,
  decisions: Decision[],
): Promise<Continuation> {
  const turnId = turnOfDecisions(decisions);
  const asking = await findTurn(userId, turnId);
  const answer = asking && (await findMessage(userId, asking.messageId));
  if (answer?.chatId !== chatId) throw new AppError("not_found", "There is no such request in this chat.");
  if (answer.status === "running") throw answerRunningError(turnId);
  const refuse = (why: string) => new AppError("bad_request", `approvals: ${why}`);
  const [newest] = await listBranch(userId, chatId, { ...lastAnswerLimits, maxMessages: 1 });
  if (newest?.id !== answer.id) throw refuse("the conversation has continued since. Nothing was done; ask again.");
  const parts = answer.parts as ChatMessage["parts"];
  const waiting = openRequests(parts).map(({ approvalId }) => approvalId);
  if (waiting.length === 0) throw refuse("nothing in this answer waits for a decision.");
  const decided = new Map(decisions.map(({ id, approved }) => [id, approved]));
  if (decided.size !== waiting.length || waiting.some((id) => !decided.has(id)))
    throw refuse("every request of the answer must be decided, and no other.");
  return {
    ...(await originOf(userId, answer)),
    prefixChunks: pendingAnswerChunks(parts),
    decisionChunks: waiting.map((approvalId) => {
      const approved = decided.get(approvalId) === true;
      return { type: "tool-approval-response", approvalId, approved, ...(!approved && { reason: declinedText }) };
    }),
  };
}

/** A client keeps the first answer's id through all rounds of tool results. */
const maxRounds = 50;

/**
 * The answer whose calls these results answer. Throws bad_request if there is none or a call is
 * left unanswered.
 */
async function requireAwaitingAnswer(
  userId: string,
  chatId: string,
  { messageId, results }: Results,
): Promise<MessageRow> {
  const resultIds = new Set(results.map(({ toolCallId }) => toolCallId));
  let answer = await findMessage(userId, messageId);
  for (let round = 0; answer?.chatId === chatId && answer.turnId && round < maxRounds; round++) {
    const waiting = callsOf(answer);
    if (waiting.length > 0 && waiting.every((id) => resultIds.has(id))) return answer;
    const next = await findTurnByKey(userId, `results:${answer.turnId}`);
    answer = next && (await findMessage(userId, next.messageId));
  }
  throw new AppError("bad_request", "messages: the last answer waits for other results, or for none.");
}

/** The same for everyone who sends these results, so the answer continues once. */
export async function resultsKey(userId: string, chatId: string, results: Results): Promise<string> {
  return `results:${(await requireAwaitingAnswer(userId, chatId, results)).turnId}`;
}

/**
 * The client's tool results and the answer to continue. Throws like `resultsKey`, and turn_running
 * while it is being written.
 */
export async function requireResultsContinuation(
  userId: string,
  chatId: string,
  results: Results,
): Promise<Continuation> {
  const answer = await requireAwaitingAnswer(userId, chatId, results);
  if (answer.status === "running") throw answerRunningError(answer.turnId);
  const resultById = new Map(results.results.map((result) => [result.toolCallId, result]));
  const decisionChunks = callsOf(answer).map((toolCallId): TurnChunk => {
    const result = resultById.get(toolCallId) as CallResult;
    return "output" in result
      ? { type: "tool-output-available", toolCallId, output: result.output }
      : { type: "tool-output-error", toolCallId, errorText: result.errorText };
  });
  const prefixChunks = pendingAnswerChunks(answer.parts as ChatMessage["parts"]);
  return { ...(await originOf(userId, answer)), prefixChunks: prefixChunks, decisionChunks: decisionChunks };
}

function callsOf(answer: MessageRow): string[] {
  return (answer.parts as ChatMessage["parts"]).flatMap((part) =>
    isToolUIPart(part) && part.state === "input-available" ? [part.toolCallId] : [],
  );
}

/** Assigns the new answer to this model: provider state of another model is dropped. */
export function forModel(continuation: Continuation, model: string): Continuation {
  if (continuation.storedRequest.model === model) return continuation;
  return { ...continuation, prefixChunks: continuation.prefixChunks.map(withoutState) };
}

/** The cursor for a client that has all of the answer being continued. */
export function cursorAfterPrefix(turn: TurnRow): Cursor {
  return { turnId: turn.id, seq: storedRequestOf(turn).begunSeq ?? 0, n: 0 };
}

/** The question and request of an answer's turn. */
async function originOf(
  userId: string,
  answer: MessageRow,
): Promise<Pick<Continuation, "messageId" | "question" | "storedRequest">> {
  const turn = answer.turnId && (await findTurn(userId, answer.turnId));
  if (!turn || !answer.parentId) throw new Error(`answer ${answer.id} has no turn or no question`);
  return { messageId: answer.id, question: answer.parentId, storedRequest: storedRequestOf(turn) };
}

function answerRunningError(turnId: string | null): AppError {
  return new AppError("turn_running", "This answer is still being written. Wait for it or stop it first.", {
    ...(turnId ? { details: { turnId } } : {}),
  });
}

/** A few questions may follow it, as a client's prompt may end with several. */
const lastAnswerLimits = { maxMessages: 20, maxBytes: 8 * 1024 * 1024 };

async function findLastAnswer(userId: string, chatId: string) {
  const rows = await listBranch(userId, chatId, lastAnswerLimits);
  return rows.findLast(({ role }) => role === "assistant");
}
