// Named response schemas of the native endpoints. The compiler checks each against the return type
// of its verb; test/server/openapi.test.ts checks them against the real server's responses.
import { z } from "zod";
import type { ErrorCode } from "@/lib/errors";
import { abilities } from "@/lib/models/abilities";
import type { Model } from "@/lib/models/catalogue";
import type { DocumentInfo } from "@/lib/retrieval/ingest";
import type { Chat } from "@/lib/services/chats/chats";
import type { describeTurn } from "@/lib/services/turns/follow-turn";
import type { Stopped } from "@/lib/services/turns/stop";
import type { Invitation } from "@/lib/services/users/invitations";
import type { Session } from "@/lib/services/users/sessions";
import type { createToken, Token } from "@/lib/services/users/users";
import type { TurnError, TurnState } from "@/lib/turn/chunks";

const time = z.iso.datetime();
const status = z.enum(["running", "complete", "stopped", "failed", "interrupted"]) satisfies z.ZodType<TurnState>;

export const errorCode = z.enum([
  "bad_request",
  "unauthorized",
  "forbidden",
  "not_found",
  "turn_running",
  "conflict",
  "too_large",
  "storage_full",
  "rate_limited",
  "limit_reached",
  "internal",
  "unavailable",
]) satisfies z.ZodType<ErrorCode>;

export const errorBody = z
  .object({
    error: z.object({
      code: errorCode,
      message: z.string().describe("Human-readable. Names the invalid field of a bad request."),
      requestId: z.string().describe("Identifies the request in the server's log."),
      turnId: z.string().optional().describe("With `turn_running`: the running turn."),
    }),
  })
  .meta({ id: "Error" });

const turnError = z
  .object({
    code: z.enum([
      "provider_auth",
      "provider_rate_limited",
      "provider_unavailable",
      "provider_timeout",
      "provider_invalid",
      "tool_failed",
      "storage",
      "interrupted",
      "internal",
    ]),
    message: z.string(),
    retryable: z.boolean(),
  })
  .meta({ id: "TurnError" }) satisfies z.ZodType<TurnError>;

export const chat = z
  .object({
    id: z.string(),
    number: z.int().describe("The user's number for the chat, which dialects accept instead of the id."),
    title: z.string(),
    pinned: z.boolean(),
    createdAt: time,
    updatedAt: time,
    liveTurnId: z.string().nullable().describe("The chat's running turn."),
  })
  .meta({ id: "Chat" }) satisfies z.ZodType<Chat>;

const nextCursor = z.string().nullable().describe("Null on the last page.");

export const chatPage = z.object({ chats: z.array(chat), nextCursor }).meta({ id: "ChatPage" });

export const messages = z
  .object({
    messages: z.array(
      z
        .object({
          id: z.string(),
          role: z.enum(["user", "assistant"]),
          parts: z.array(z.looseObject({ type: z.string() })).describe("Parts of an AI SDK `UIMessage`."),
          metadata: z
            .looseObject({})
            .optional()
            .describe("For answers: model, status, usage, timing, confidence, memory."),
        })
        .meta({ id: "Message" }),
    ),
    nextCursor: z.string().nullable().describe("Cursor of the earlier page; null at the start of the conversation."),
  })
  .meta({ id: "Messages" });

export const turn = z
  .object({
    turnId: z.uuid(),
    chatId: z.string(),
    messageId: z.string().describe("The answer."),
    userMessageId: z.string().describe("The question."),
    status,
    error: turnError.optional(),
    createdAt: time,
    endedAt: time.nullable(),
  })
  .meta({ id: "Turn" });
turn satisfies z.ZodType<Pick<ReturnType<typeof describeTurn>, "turnId" | "chatId" | "createdAt" | "endedAt">>;

export const stopped = z
  .object({
    turnId: z.string().nullable().describe("Null in a chat without turns."),
    status: status.nullable().describe("The turn's final state; `complete` if the stop came too late."),
  })
  .meta({ id: "Stopped" }) satisfies z.ZodType<Stopped>;

export const document = z
  .object({
    id: z.uuid(),
    title: z.string(),
    filename: z.string(),
    mediaType: z.string(),
    bytes: z.int(),
    passageCount: z.int(),
    sample: z.boolean(),
    createdAt: time,
  })
  .meta({ id: "Document" }) satisfies z.ZodType<DocumentInfo>;
export const documents = z.object({ documents: z.array(document), nextCursor }).meta({ id: "Documents" });

export const models = z
  .object({
    models: z.array(
      z
        .object({
          id: z.string(),
          label: z.string(),
          provider: z.string(),
          ready: z.boolean(),
          reason: z.string().optional().describe("Why it is unavailable."),
          abilities,
        })
        .meta({ id: "Model" }) satisfies z.ZodType<Model>,
    ),
    default: z.string(),
  })
  .meta({ id: "Models" });

export const tokens = z
  .object({
    tokens: z.array(
      z
        .object({
          id: z.uuid(),
          name: z.string(),
          createdAt: time,
          lastUsedAt: time.nullable(),
          expiresAt: time.nullable(),
        })
        .meta({ id: "AccessToken" }) satisfies z.ZodType<Token>,
    ),
    nextCursor,
  })
  .meta({ id: "AccessTokens" });

export const sessions = z
  .object({
    sessions: z.array(
      z
        .object({
          id: z.uuid(),
          createdAt: time,
          lastSeenAt: time.describe("Updated at most every five minutes."),
          expiresAt: time,
          userAgent: z.string().describe("User agent at sign-in. May be empty."),
          current: z.boolean().describe("Whether this request uses the session."),
        })
        .meta({ id: "BrowserSession" }) satisfies z.ZodType<Session>,
    ),
  })
  .meta({ id: "BrowserSessions" });

export const newToken = z
  .object({
    id: z.uuid(),
    token: z.string().describe("Shown only once."),
    userId: z.uuid(),
    expiresAt: time.nullable(),
  })
  .meta({ id: "NewAccessToken" }) satisfies z.ZodType<Awaited<ReturnType<typeof createToken>>>;

const invitation = z
  .object({
    id: z.uuid(),
    email: z.email().nullable().describe("The only address that may use it; null for any."),
    role: z.enum(["user", "admin"]),
    createdAt: time,
    expiresAt: time,
    usedAt: time.nullable(),
  })
  .meta({ id: "Invitation" }) satisfies z.ZodType<Invitation>;

export const invitations = z.object({ invitations: z.array(invitation) }).meta({ id: "Invitations" });

export const newInvitation = invitation
  .extend({ token: z.string().describe("Shown only once. The link is `/sign-in?invite=<token>`.") })
  .meta({ id: "NewInvitation" });

export const user = z.object({ id: z.uuid(), email: z.email(), name: z.string().nullable() }).meta({ id: "User" });

export const ok = z.object({ status: z.literal("ok") }).meta({ id: "Ok" });

/** An event of `GET /api/chats/{chatId}/events`. */
export const chatEvent = z.object({ type: z.literal("turn"), turnId: z.uuid(), status }).meta({ id: "ChatEvent" });

/** An event of `GET /api/health/stream`. */
export const testEvent = z
  .object({
    index: z.int().min(0).max(9),
    elapsedMs: z.int().describe("Milliseconds since the stream started, by the server's clock."),
  })
  .meta({ id: "TestEvent" });

/** next-auth's session. */
export const session = z
  .object({ user: z.looseObject({}), expires: z.string() })
  .nullable()
  .meta({ id: "Session" });
export const csrf = z.object({ csrfToken: z.string() }).meta({ id: "CsrfToken" });
