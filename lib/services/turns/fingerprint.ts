// Fingerprint of a send: a hash of its content, independent of JSON key order (docs/protocol.md
// §5). Stored with the turn, so a key never returns the answer to another question.
import { hash } from "node:crypto";
import type { TurnRow } from "@/db/turns";
import { AppError } from "@/lib/errors";
import { turnOfDecisions } from "./decisions";
import type { TurnRequest } from "./turn-request";

export function fingerprintOf(request: TurnRequest): string {
  return hash("sha256", JSON.stringify(contentOf(request), sortKeys), "base64url");
}

/**
 * Throws key_reused if the turn answers a different request. Turns stored by older versions have no
 * fingerprint and match.
 */
export function requireSameContent<T extends Pick<TurnRow, "fingerprint">>(turn: T, fingerprint: string): T {
  if (turn.fingerprint === null || turn.fingerprint === fingerprint) return turn;
  throw new AppError(
    "key_reused",
    "This Idempotency-Key or message id was used for another request. Nothing was sent; send again with a new one.",
  );
}

/**
 * Excludes per-attempt client ids and presentation options. A continuation is identified by the
 * answer it continues, so devices and servers that continue it concurrently share one turn, even if
 * they would pick different models.
 */
function contentOf(request: TurnRequest): object {
  const { trigger, chatId, chatNumber, chatIsNew, model, searchMode, documentIds } = request;
  const chat = chatNumber ?? (chatIsNew ? null : chatId);
  if (trigger === "continue-message") return { trigger, chat, messageId: request.messageId };
  // The first decision wins; later ones follow its outcome.
  if (trigger === "answer-approvals") return { trigger, chat, turnId: turnOfDecisions(request.decisions) };
  if (trigger === "answer-calls") return { trigger, chat, messageId: request.messageId };
  const shared = { trigger, chat, model, searchMode, documentIds };
  if (trigger === "regenerate-message")
    return { ...shared, messageId: request.messageId, parts: request.message?.parts };
  if (trigger === "answer-prompt") return { ...shared, prompt: request.prompt, parentId: request.parentId };
  return { ...shared, parts: request.message.parts, metadata: request.metadata, call: request.call };
}

function sortKeys(_key: string, value: unknown): unknown {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
