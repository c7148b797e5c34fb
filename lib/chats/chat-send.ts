// From the body of `POST /api/chat` to what is to be done. A stock client sends its whole conversation: its last message and the
// trigger say what it wants, what is before that where it wants it (docs/protocol.md §5).
import { v7 as uuidv7 } from "uuid";
import { z } from "zod";
import { AppError } from "@/lib/errors";
import { parseInput } from "@/lib/http";
import { type ClientMessage, parseHistory } from "./client-history";
import { decisionKey, decisionsIn, resultsIn } from "./decisions";
import { chatRequest, type TurnRequest, userMessage } from "./turn-request";

type ChatRequest = z.output<typeof chatRequest>;

export type ChatSend = {
  request: TurnRequest;
  /** The client has all that the answer says before this turn. */
  goesOn: boolean;
};

/** Throws bad_request for what asks for nothing. */
export function parseSend(input: ChatRequest, key: string | null): ChatSend {
  const { trigger, model, searchMode, documentIds } = input;
  const chatId = input.id ?? uuidv7();
  const chatIsNew = input.id === undefined;
  const shared = { chatId, chatIsNew, model, searchMode, documentIds, canAsk: true, keyless: key === null };
  const begin = (request: TurnRequest): ChatSend => ({ request, goesOn: false });
  if (trigger === "answer-approvals") {
    const { approvals: decisions } = parseInput(withApprovals, input);
    return begin({ ...shared, trigger, decisions, clientKey: decisionKey(decisions) });
  }
  const messageId = input.messageId ?? undefined;
  if (trigger === "continue-message") return begin({ ...shared, trigger, messageId, clientKey: key ?? uuidv7() });
  if (trigger === "regenerate-message") {
    const asked = input.message === undefined && input.messages ? conversationUpTo(input.messages, messageId) : null;
    return begin({ ...shared, trigger, messageId, ...asked, clientKey: key ?? uuidv7() });
  }
  // A stock client sends the answer back with what was decided, and goes on with that message.
  const last = input.message ?? lastMessage(input.messages ?? []);
  const decisions = decisionsIn(last);
  if (decisions)
    return {
      request: { ...shared, trigger: "answer-approvals", decisions, clientKey: decisionKey(decisions) },
      goesOn: true,
    };
  // The key is that of the answer, which is looked up.
  const results = resultsIn(last);
  if (results) return { request: { ...shared, trigger: "answer-calls", ...results, clientKey: "" }, goesOn: true };
  if (input.message !== undefined) {
    const { message } = parseInput(asMessage, { message: input.message });
    const { metadata, ...said } = message;
    return begin({ ...shared, keyless: false, trigger, message: said, metadata, clientKey: key ?? message.id });
  }
  const { message, metadata, before } = conversation(input.messages ?? []);
  // Words that replace others come under the same id. Sent again later they are another send: who edits wants an answer.
  const edits = messageId === message.id ? messageId : undefined;
  const clientKey = key ?? (edits === undefined ? message.id : uuidv7());
  return begin({ ...shared, trigger, message, metadata, before, edits, clientKey });
}

const withApprovals = z.object({ approvals: chatRequest.shape.approvals.unwrap() });

// Made once: a schema is compiled when it is first used.
const asMessage = z.object({ message: userMessage });
const asMessages = z.object({ messages: userMessage });

type Asked = {
  message: Omit<z.output<typeof userMessage>, "metadata" | "role">;
  metadata?: unknown;
  before: ClientMessage[];
};

function roleOf(message: unknown): unknown {
  return (message as { role?: unknown } | null)?.role;
}

const isMessage = (message: unknown) => roleOf(message) === "user" || roleOf(message) === "assistant";

function lastMessage(messages: unknown[]): unknown {
  return messages.findLast(isMessage);
}

/** The last message is the question. */
function conversation(messages: unknown[]): Asked {
  const last = messages.findLastIndex(isMessage);
  if (last === -1)
    throw new AppError("bad_request", "message: a user message is required, as `message` or last in `messages`");
  if (roleOf(messages[last]) === "assistant")
    throw new AppError(
      "bad_request",
      "message: the last of `messages` is an answer, which asks for nothing. Its calls ran on the server.",
    );
  const { role: _, metadata, ...message } = parseInput(asMessages, { messages: messages[last] }).messages;
  return { message, metadata, before: parseHistory(messages.slice(0, last)) };
}

/** The last question, at or above the message that is named if it is there; null without one. */
function conversationUpTo(messages: unknown[], messageId: string | undefined): Asked | null {
  const named = messages.findIndex((message) => (message as { id?: unknown } | null)?.id === messageId);
  const upTo = messageId === undefined || named === -1 ? messages : messages.slice(0, named + 1);
  const question = upTo.findLastIndex((message) => roleOf(message) === "user");
  return question === -1 ? null : conversation(upTo.slice(0, question + 1));
}
