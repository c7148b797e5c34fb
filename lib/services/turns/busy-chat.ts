// A send into a chat with a running answer: it is a retry of that answer's send, it replaces it, or
// it must wait (docs/protocol.md §5).
import { findMessage } from "@/db/messages";
import type { TurnRow } from "@/db/turns";
import type { ChatMessage } from "@/lib/turn/chunks";
import { textOf } from "@/lib/turn/fold";
import type { HistoryPosition } from "./client-history";
import { type StoredRequest, storedRequestOf } from "./stored-request";
import type { TurnRequest } from "./turn-request";

/**
 * True if the running turn answers this request: a client without keys resends the same text when
 * it loses the answer.
 */
export async function isAnswering(
  running: TurnRow,
  request: TurnRequest,
  fingerprint: string,
  place: HistoryPosition | undefined,
): Promise<boolean> {
  if (!request.keyless || !hasSameSettings(storedRequestOf(running), request)) return false;
  if (request.trigger === "regenerate-message")
    return place !== undefined && running.fingerprint === fingerprint && request.messageId !== running.messageId;
  if (request.trigger !== "submit-message") return false;
  const question = await findMessage(running.userId, running.userMessageId);
  if (!question || textOf({ parts: question.parts as ChatMessage["parts"] }) !== textOf(request.message)) return false;
  return !place || place.question.parentId === question.parentId;
}

/** Compares only the settings the client specified. */
function hasSameSettings(stored: StoredRequest, { model, searchMode, documentIds }: TurnRequest): boolean {
  return (
    (model === undefined || model === stored.model || model === stored.modelName) &&
    (searchMode === undefined || searchMode === stored.searchMode) &&
    (documentIds === undefined || JSON.stringify(documentIds) === JSON.stringify(stored.documentIds))
  );
}

/**
 * True if the client knows of the running answer and has moved on: it edits its question,
 * regenerates the answer or asks something else.
 */
export function replaces(running: TurnRow, request: TurnRequest, place: HistoryPosition): boolean {
  const { continues, questionName } = storedRequestOf(running);
  const { userMessageId, messageId } = running;
  const isAnswer = (id: string | undefined) => id !== undefined && (id === messageId || id === continues);
  if (place.question.id === userMessageId) return true;
  if (request.trigger === "regenerate-message" && isAnswer(request.messageId)) return true;
  if (request.trigger === "submit-message" && request.edits !== undefined)
    if (request.edits === userMessageId || request.edits === questionName) return true;
  return place.path.some(
    ({ id, name, role }, index) =>
      isAnswer(id) ||
      isAnswer(name) ||
      // The client left before the answer began.
      (role === "user" && id === userMessageId && place.path[index + 1]?.role === "user"),
  );
}
