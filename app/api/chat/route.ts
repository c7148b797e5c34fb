// POST /api/chat: starts a turn and follows it in the AI SDK's format. Stock `useChat` works against it.
import { after } from "next/server";
import { v7 as uuidv7 } from "uuid";
import { z } from "zod";
import { turnStream } from "@/app/api/turn-stream";
import { requireUser } from "@/lib/auth";
import { behindBeginning } from "@/lib/chats/continuation";
import { decisionKey, decisionsIn } from "@/lib/chats/decisions";
import { startTurn } from "@/lib/chats/start";
import { chatRequest, idempotencyKey, type TurnRequest, userMessage } from "@/lib/chats/turn-request";
import { withClientStream } from "@/lib/client-streams";
import { aiSdk } from "@/lib/dialects/ai-sdk";
import { AppError } from "@/lib/errors";
import { parseInput, readJson, route } from "@/lib/http";

export const maxDuration = 300;

export const POST = route(async (request) => {
  const user = await requireUser(request);
  const input = await readJson(request, chatRequest);
  const { trigger, model, searchMode, documentIds } = input;
  const chatId = input.id ?? uuidv7();
  const shared = { chatId, chatIsNew: input.id === undefined, model, searchMode, documentIds, canAsk: true };
  const key = idempotencyKey(request);
  const send = (sent: TurnRequest, from: "start" | "new chunks" = "start") =>
    withClientStream(request, user, async (stream) => {
      const turn = await startTurn(user.id, sent, keepAlive);
      const cursor = from === "start" ? null : behindBeginning(turn);
      return turnStream(request, stream, turn, { dialect: aiSdk, cursor });
    });
  if (trigger === "answer-approvals") {
    const { approvals: decisions } = parseInput(withApprovals, input);
    return send({ ...shared, trigger, decisions, clientKey: decisionKey(decisions) });
  }
  // A stock client sends the answer back with what was decided, and goes on with that message.
  const decisions = trigger === "submit-message" ? decisionsIn(input.message ?? input.messages?.at(-1)) : null;
  if (decisions)
    return send({ ...shared, trigger: "answer-approvals", decisions, clientKey: decisionKey(decisions) }, "new chunks");
  if (trigger !== "submit-message") {
    const messageId = input.messageId ?? undefined;
    return send({ ...shared, trigger, messageId, clientKey: key ?? uuidv7() });
  }
  const message = lastUserMessage(input);
  return send({ ...shared, trigger, message, clientKey: key ?? message.id });
});

const withApprovals = z.object({ approvals: chatRequest.shape.approvals.unwrap() });

// Made once: a schema is compiled when it is first used.
const asMessage = z.object({ message: userMessage });
const asMessages = z.object({ messages: userMessage });

/** History comes from the database: of what the client sends only the newest user message counts. */
function lastUserMessage({ message, messages }: z.output<typeof chatRequest>): z.output<typeof userMessage> {
  if (message !== undefined) return parseInput(asMessage, { message }).message;
  const last = messages?.findLast((candidate) => (candidate as { role?: unknown } | null)?.role === "user");
  if (last === undefined)
    throw new AppError("bad_request", "message: a user message is required, as `message` or last in `messages`");
  return parseInput(asMessages, { messages: last }).messages;
}

function keepAlive(work: Promise<void>): void {
  after(() => work);
}
