// Exports everything a user has stored, as JSON lines. Excludes secrets: passwords, tokens, hashes.
import * as rows from "@/db/export";
import { listSessions } from "@/db/sessions";
import type { ChatMessage } from "@/lib/turn/chunks";
import { withoutState } from "@/lib/turn/provider-state";

/**
 * One JSON object per line, each with a `type`; contents of a chat or document follow it. The last
 * line has type `end` and counts the lines before it: an export without it is truncated.
 */
export async function* exportAccount(userId: string): AsyncGenerator<string> {
  let lines = 0;
  for await (const line of exportLines(userId)) {
    lines += 1;
    yield `${JSON.stringify(line)}\n`;
  }
  yield `${JSON.stringify({ type: "end", lines })}\n`;
}

type ExportLine = { type: string; [field: string]: unknown };

async function* exportLines(userId: string): AsyncGenerator<ExportLine> {
  yield { type: "account", ...(await rows.findAccount(userId)) };
  for (const { id, createdAt, lastSeenAt, expiresAt, userAgent } of await listSessions(userId))
    yield { type: "session", id, createdAt, lastSeenAt, expiresAt, userAgent };
  for await (const token of rows.eachToken(userId)) yield { type: "token", ...token };
  for await (const task of rows.eachTask(userId)) yield { type: "task", ...task };
  for await (const chat of rows.eachChat(userId)) {
    yield { type: "chat", ...chat };
    for await (const { position: _, parts, ...message } of rows.eachMessage(userId, chat.id))
      yield { type: "message", ...message, parts: (parts as ChatMessage["parts"]).map(withoutState) };
  }
  for await (const document of rows.eachDocument(userId)) {
    yield { type: "document", ...document };
    for await (const passage of rows.eachPassage(userId, document.id)) yield { type: "passage", ...passage };
  }
}
