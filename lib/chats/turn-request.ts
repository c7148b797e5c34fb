// What a client may ask of a turn, parsed at the door of every dialect (docs/protocol.md §5).
import { z } from "zod";
import { AppError } from "@/lib/errors";
import { parseInput } from "@/lib/http";
import type { ChatMessage, SearchMode } from "@/lib/turn/chunks";

/** Ids that clients choose: UUIDs, and what stock `useChat` makes. */
export const clientId = z
  .string()
  .regex(/^[A-Za-z0-9_-]{8,64}$/, "must be 8 to 64 characters of A-Z, a-z, 0-9, _ and -");

/** A longer message is refused with 413, not cut. */
const maxMessageLength = 1_000_000;

const textPart = z.object({ type: z.literal("text"), text: z.string() });

export const userMessage = z.object({
  id: clientId,
  role: z.literal("user"),
  parts: z
    .array(textPart)
    .min(1)
    .refine((parts) => parts.some((part) => part.text.trim() !== ""), "must hold some text"),
});

/** The optional fields that every dialect accepts. */
export const turnOptions = {
  model: z.string().max(200).optional(),
  searchMode: z.enum(["all", "selected", "none"]).optional(),
  documentIds: z.array(z.uuid()).max(1_000).optional(),
};

export type TurnOptions = { model?: string; searchMode?: SearchMode; documentIds?: string[] };

export type TurnRequest = TurnOptions & {
  /** The chat; made when the user has none with this id. */
  chatId: string;
  /** Equal keys of one user are one turn. */
  clientKey: string;
} & (
    | { trigger: "submit-message"; message: Pick<ChatMessage, "id" | "parts">; metadata?: unknown }
    | {
        trigger: "regenerate-message";
        /** The answer to make again, or the question to answer again; undefined: the last. */
        messageId?: string;
      }
  );

/** The `Idempotency-Key` header, checked; null when there is none. */
export function idempotencyKey(request: Request): string | null {
  const key = request.headers.get("idempotency-key");
  if (key === null) return null;
  return parseInput(
    z.string().regex(/^[\x21-\x7e]{1,200}$/, "Idempotency-Key: 1 to 200 visible ASCII characters"),
    key,
  );
}

/** Throws too_large for a text no model would take. */
export function requireSaneLength(message: Pick<ChatMessage, "parts">): void {
  const length = message.parts.reduce((sum, part) => sum + (part.type === "text" ? part.text.length : 0), 0);
  if (length > maxMessageLength)
    throw new AppError("too_large", `message: at most ${maxMessageLength} characters. Upload long texts as documents.`);
}
