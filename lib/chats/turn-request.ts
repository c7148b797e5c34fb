// What a client may ask of a turn, parsed at the door of every dialect (docs/protocol.md §5).
import { z } from "zod";
import { env } from "@/lib/env";
import { AppError } from "@/lib/errors";
import { parseInput } from "@/lib/http";
import type { ChatMessage, SearchMode } from "@/lib/turn/chunks";
import type { TurnPrompt, TurnView } from "@/lib/turn/turn-context";
import { clientId, turnOptions } from "@/lib/turn/turn-options";
import { type Decision, decision, maxDecisions } from "./decisions";

const textPart = z.object({ type: z.literal("text"), text: z.string() });

export const userMessage = z
  .object({
    id: clientId,
    role: z.literal("user"),
    parts: z
      .array(textPart)
      .min(1)
      .refine((parts) => parts.some((part) => part.text.trim() !== ""), "must hold some text"),
  })
  .meta({ id: "UserMessage" });

/** What `POST /api/chat` takes. History comes from the database, so only the newest user message is ever looked at. */
export const chatRequest = z
  .object({
    id: clientId.optional().describe("The chat. One with this id is made when there is none; default: a new chat."),
    message: z.union([userMessage, z.unknown()]).optional().describe("The new message; a `UserMessage`."),
    messages: z
      .array(z.unknown())
      .optional()
      .describe("In place of `message`, as stock clients send it. Only the last user message in it is read."),
    trigger: z
      .enum(["submit-message", "regenerate-message", "continue-message", "answer-approvals"])
      .default("submit-message")
      .describe(
        "`regenerate-message` answers a question once more; `continue-message` goes on with an answer that was " +
          "interrupted, stopped or cut off, or that failed behind some text; `answer-approvals` goes on with an answer that asked " +
          "for consent.",
      ),
    approvals: z
      .array(decision)
      .min(1)
      .max(maxDecisions)
      .optional()
      .describe("With `answer-approvals`: what was decided about each request of the answer."),
    messageId: z
      .string()
      .max(64)
      .nullish()
      .describe(
        "With `regenerate-message`: the answer to make again, or its question. With `continue-message`: the answer to " +
          "go on with. Default: the last.",
      ),
    ...turnOptions,
  })
  .meta({ id: "ChatRequest" });

export type TurnOptions = { model?: string; searchMode?: SearchMode; documentIds?: string[] };

export type TurnRequest = TurnOptions & {
  /** The chat; made when the user has none with this id. */
  chatId: string;
  /** The small number of the chat to use or to make, if it is that what the client named; `chatId` is for a new one. */
  chatNumber?: number;
  /** The client named no chat: `chatId` was made for this attempt. */
  chatIsNew?: boolean;
  /** Equal keys of one user are one turn. */
  clientKey: string;
  view?: TurnView;
  /** The client can show a request for consent and send the answer. */
  canAsk?: boolean;
} & (
    | { trigger: "submit-message"; message: Pick<ChatMessage, "id" | "parts">; metadata?: unknown }
    | {
        trigger: "regenerate-message";
        /** The answer to make again, or the question to answer again; undefined: the last. */
        messageId?: string;
      }
    | {
        trigger: "continue-message";
        /** The answer to go on with; undefined: the last. Its documents are not searched again. */
        messageId?: string;
      }
    /** Goes on with the answer that asked for these decisions. */
    | { trigger: "answer-approvals"; decisions: Decision[] }
    /** Makes a chat that holds these messages as its branch, and answers the last of them. In the user's lists only if `listed`. */
    | { trigger: "answer-prompt"; prompt: TurnPrompt; listed?: boolean }
  );

/** What a turn row keeps of it besides the messages. */
export type TurnSettings = {
  /** The catalogue's id, and the name by which the client knows it. */
  model: string;
  modelName?: string;
  searchMode: SearchMode;
  documentIds?: string[];
  view?: TurnView;
  canAsk?: boolean;
  prompt?: Omit<TurnPrompt, "messages">;
  /** As it was when the turn began. */
  chatTitle?: string;
  /** The answer that this turn goes on with. */
  continues?: string;
  /** How many chunks its log began with: what they say is not this turn's answer yet. */
  begunSeq?: number;
};

/** The `Idempotency-Key` header, checked; null when there is none. */
export function idempotencyKey(request: Request): string | null {
  const key = request.headers.get("idempotency-key");
  if (key === null) return null;
  return parseInput(
    z.string().regex(/^[\x21-\x7e]{1,200}$/, "Idempotency-Key: 1 to 200 visible ASCII characters"),
    key,
  );
}

/** Throws too_large when the request has more characters than MAX_TURN_CHARACTERS; it is never cut. */
export function requireSaneLength(request: TurnRequest): void {
  const most = env().MAX_TURN_CHARACTERS;
  if (lengthOf(request) <= most) return;
  throw new AppError(
    "too_large",
    `message: is longer than ${most} characters. Nothing was sent; shorten it, or upload long texts as documents.`,
  );
}

/** In characters. Of a prompt all that the model reads counts: messages with calls and results, instructions, tools. */
function lengthOf(request: TurnRequest): number {
  if (request.trigger === "submit-message") return textLength(request.message.parts);
  if (request.trigger !== "answer-prompt") return 0;
  const { messages, instructions, tools } = request.prompt;
  const said = messages.reduce((sum, { parts }) => sum + textLength(parts), 0);
  return said + instructions.length + (tools ? JSON.stringify(tools).length : 0);
}

function textLength(parts: ChatMessage["parts"]): number {
  return parts.reduce((sum, part) => sum + (part.type === "text" ? part.text : JSON.stringify(part)).length, 0);
}
