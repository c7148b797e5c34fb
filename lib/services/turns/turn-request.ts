// What a client may request of a turn, parsed at the entry of every dialect (docs/protocol.md §5).
import { z } from "zod";
import { env } from "@/lib/env";
import { AppError } from "@/lib/errors";
import { parseInput } from "@/lib/http";
import type { ChatMessage } from "@/lib/turn/chunks";
import type { TurnInput } from "@/lib/turn/turn-input";
import { clientId, maxIdLength, turnOptions } from "@/lib/turn/turn-options";
import { decision, maxDecisions } from "./decisions";

const textPart = z.object({ type: z.literal("text"), text: z.string() });

/** Characters of JSON. */
const maxMetadataLength = 16_384;

export const userMessage = z
  .object({
    id: clientId,
    role: z.literal("user"),
    parts: z
      .array(textPart)
      .min(1)
      .refine((parts) => parts.some((part) => part.text.trim() !== ""), "must contain text"),
    metadata: z
      .unknown()
      .refine(
        (value) => JSON.stringify(value ?? null).length <= maxMetadataLength,
        `is longer than ${maxMetadataLength} characters`,
      )
      .describe("Stored with the message unchanged.")
      .optional(),
  })
  .meta({ id: "UserMessage" });

/** Body of `POST /api/chat`. */
export const chatRequest = z
  .object({
    id: clientId.optional().describe("The chat; created if it does not exist. Default: a new chat."),
    message: z.union([userMessage, z.unknown()]).optional().describe("The new message; a `UserMessage`."),
    messages: z
      .array(z.unknown())
      .optional()
      .describe(
        "Instead of `message`, as stock clients send it: the client's conversation, ending with the new message. " +
          "The messages before it determine its parent.",
      ),
    trigger: z
      .enum(["submit-message", "regenerate-message", "continue-message", "answer-approvals"])
      .default("submit-message")
      .describe(
        "`regenerate-message` answers a question again; `continue-message` continues an answer that was " +
          "interrupted, stopped, cut off or failed after some text; `answer-approvals` continues an answer that " +
          "requested approval.",
      ),
    approvals: z
      .array(decision)
      .min(1)
      .max(maxDecisions)
      .optional()
      .describe("With `answer-approvals`: the decision on each approval request."),
    messageId: z
      .string()
      .max(2 * maxIdLength)
      .nullish()
      .describe(
        "With `submit-message`: the question that the last of `messages` replaces. With `regenerate-message`: the answer " +
          "to regenerate, or its question. With `continue-message`: the answer to continue. Default: the last.",
      ),
    ...turnOptions,
  })
  .meta({ id: "ChatRequest" });

/** What a client asks for, with its chat and its key. */
export type TurnRequest = TurnInput & {
  /** Created if the user has no chat with this id. */
  chatId: string;
  /**
   * Small number of the chat to use or create, if the client gave a number; `chatId` is then for a
   * new chat.
   */
  chatNumber?: number;
  /** The client named no chat: `chatId` was generated for this attempt. */
  chatIsNew?: boolean;
  /** Idempotency key: equal keys of one user mean one turn. */
  clientKey: string;
  /** The client sent no key: while its answer runs, the same text is the same send. */
  keyless?: boolean;
};

/** The validated `Idempotency-Key` header; null if absent. */
export function idempotencyKey(request: Request): string | null {
  const key = request.headers.get("idempotency-key");
  if (key === null) return null;
  return parseInput(
    z.string().regex(/^[\x21-\x7e]{1,200}$/, "Idempotency-Key: 1 to 200 visible ASCII characters"),
    key,
  );
}

/** Throws too_large if the request exceeds MAX_TURN_CHARACTERS; it is never truncated. */
export function requireTurnLength(request: TurnRequest): void {
  const maxLength = env().MAX_TURN_CHARACTERS;
  if (lengthOf(request) <= maxLength) return;
  throw new AppError(
    "too_large",
    `message: is longer than ${maxLength} characters. Nothing was sent; shorten it, or upload long texts as documents.`,
  );
}

/** The same, including history that only the client has. */
export function requireHistoryLength(request: TurnRequest, unknown: Pick<ChatMessage, "parts">[]): void {
  const maxLength = env().MAX_TURN_CHARACTERS;
  const length = unknown.reduce((sum, { parts }) => sum + textLength(parts), lengthOf(request));
  if (length <= maxLength) return;
  throw new AppError(
    "too_large",
    `messages: what is new in them is longer than ${maxLength} characters. Nothing was sent; shorten the conversation.`,
  );
}

/**
 * In characters. For a prompt, everything the model reads counts: messages with calls and results,
 * instructions, tools.
 */
function lengthOf(request: TurnRequest): number {
  if (request.trigger === "submit-message" || request.trigger === "regenerate-message")
    return textLength(request.message?.parts ?? []);
  if (request.trigger === "answer-calls") return JSON.stringify(request.results).length;
  if (request.trigger !== "answer-prompt") return 0;
  const { messages, instructions, notes = [], tools } = request.prompt;
  const messagesLength = messages.reduce((sum, { parts }) => sum + textLength(parts), 0);
  return (
    messagesLength +
    instructions.length +
    notes.reduce((sum, { text }) => sum + text.length, 0) +
    (tools ? JSON.stringify(tools).length : 0)
  );
}

function textLength(parts: ChatMessage["parts"]): number {
  return parts.reduce((sum, part) => sum + lengthOfPart(part), 0);
}

/** Rough cost of an image to a model. Its bytes are limited with the body. */
const fileCharacters = 4_000;

function lengthOfPart(part: ChatMessage["parts"][number]): number {
  if (part.type === "file") return fileCharacters;
  return (part.type === "text" ? part.text : JSON.stringify(part)).length;
}
