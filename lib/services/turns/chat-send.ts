// Parses the body of `POST /api/chat`. A stock client sends its whole conversation: the last
// message and the trigger say what it wants, the messages before say where (docs/protocol.md §5).
import { v7 as uuidv7 } from "uuid";
import { z } from "zod";
import { AppError } from "@/lib/errors";
import { parseInput } from "@/lib/http";
import type { ClientMessage } from "@/lib/turn/turn-input";
import { parseHistory } from "./client-history";
import { decisionKey, decisionsIn, resultsIn } from "./decisions";
import { chatRequest, type TurnRequest, userMessage } from "./turn-request";

type ChatRequest = z.output<typeof chatRequest>;

type ChatSend = {
  request: TurnRequest;
  /** The client already has everything the answer says before this turn. */
  resumesAfterPrefix: boolean;
};

/** Throws bad_request if there is nothing to do. */
export function parseSend(input: ChatRequest, key: string | null): ChatSend {
  const { trigger, model, searchMode, documentIds } = input;
  const chatId = input.id ?? uuidv7();
  const chatIsNew = input.id === undefined;
  const shared = { chatId, chatIsNew, model, searchMode, documentIds, canAsk: true, keyless: key === null };
  const begin = (request: TurnRequest): ChatSend => ({ request, resumesAfterPrefix: false });
  if (trigger === "answer-approvals") {
    const { approvals: decisions } = parseInput(withApprovals, input);
    return begin({ ...shared, trigger, decisions, clientKey: decisionKey(decisions) });
  }
  const messageId = input.messageId ?? undefined;
  if (trigger === "continue-message") return begin({ ...shared, trigger, messageId, clientKey: key ?? uuidv7() });
  if (trigger === "regenerate-message") {
    const history = input.message === undefined && input.messages ? conversationUpTo(input.messages, messageId) : null;
    return begin({ ...shared, trigger, messageId, ...history, clientKey: key ?? uuidv7() });
  }
  // A stock client resends the answer with the decisions and continues that message.
  const last = input.message ?? lastMessage(input.messages ?? []);
  const decisions = decisionsIn(last);
  if (decisions)
    return {
      request: { ...shared, trigger: "answer-approvals", decisions, clientKey: decisionKey(decisions) },
      resumesAfterPrefix: true,
    };
  // The key depends on the answer, which is looked up later.
  const results = resultsIn(last);
  if (results)
    return { request: { ...shared, trigger: "answer-calls", ...results, clientKey: "" }, resumesAfterPrefix: true };
  if (input.message !== undefined) {
    const { message } = parseInput(asMessage, { message: input.message });
    const { metadata, ...content } = message;
    return begin({ ...shared, keyless: false, trigger, message: content, metadata, clientKey: key ?? message.id });
  }
  const { message, metadata, before } = conversation(input.messages ?? []);
  // An edit reuses the message id. If sent again later it is a new send: the user wants a new
  // answer.
  const edits = messageId === message.id ? messageId : undefined;
  const clientKey = key ?? (edits === undefined ? message.id : uuidv7());
  return begin({ ...shared, trigger, message, metadata, before, edits, clientKey });
}

const withApprovals = z.object({ approvals: chatRequest.shape.approvals.unwrap() });

// Built once: schemas compile on first use.
const asMessage = z.object({ message: userMessage });
const asMessages = z.object({ messages: userMessage });

type ParsedConversation = {
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

/** The last message must be the question. */
function conversation(messages: unknown[]): ParsedConversation {
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

/** The last question at or above the named message, if it is present; null if there is none. */
function conversationUpTo(messages: unknown[], messageId: string | undefined): ParsedConversation | null {
  const index = messages.findIndex((message) => (message as { id?: unknown } | null)?.id === messageId);
  const upTo = messageId === undefined || index === -1 ? messages : messages.slice(0, index + 1);
  const question = upTo.findLastIndex((message) => roleOf(message) === "user");
  return question === -1 ? null : conversation(upTo.slice(0, question + 1));
}
