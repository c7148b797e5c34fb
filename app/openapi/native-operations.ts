// The native endpoints, one entry per route file of app/api: what the request schemas alone cannot
// say. test/server/openapi.test.ts checks this list against the files and against every response.
import { z } from "zod";
import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject } from "zod-openapi";
import { aiSdk } from "@/lib/dialects/ai-sdk";
import { rag, ragBody } from "@/lib/dialects/rag";
import { dialectQuery, registry } from "@/lib/dialects/registry";
import { pageQuery } from "@/lib/list-cursor";
import { chatChange, chatListQuery, newChat } from "@/lib/services/chats/chats";
import { messageListQuery } from "@/lib/services/chats/messages";
import { gatherHeader } from "@/lib/services/turns/gather";
import { chatRequest } from "@/lib/services/turns/turn-request";
import { accountDeletion, passwordChange } from "@/lib/services/users/account";
import { invitationInput } from "@/lib/services/users/invitations";
import { signUpInput, tokenRequest } from "@/lib/services/users/users";
import * as answers from "./answers";
import {
  afterQuery,
  eventStreamContent,
  idempotencyHeader,
  lastEventHeader,
  nothingLeft,
  type Refused,
  refusals,
  turnHeadersSchema,
} from "./shared-responses";

const question = { role: "user", parts: [{ type: "text", text: "What is a rivulet?" }] };
const anyone = { security: [] };

const chatId = z.object({ chatId: z.string() });
const turnId = z.object({ turnId: z.string() });
const documentId = z.object({ documentId: z.string() });
const followHeaders = lastEventHeader.extend(gatherHeader.shape);

export const nativePaths: ZodOpenApiPathsObject = {
  "/api/chat": {
    post: {
      ...operation("Chat", "sendMessage", "Ask, and follow the answer"),
      description:
        "Starts a turn and streams it. Stock `useChat` with `DefaultChatTransport` works against it. Without an " +
        "`Idempotency-Key` the message's own id is the key of the send. With a cursor it resumes, and starts nothing.",
      requestParams: { header: idempotencyHeader.extend(followHeaders.shape), query: afterQuery },
      requestBody: body(chatRequest, { message: { id: "my-first-question", ...question } }),
      responses: {
        "200": streamResponse({ examples: true }),
        "204": { description: nothingLeft },
        ...refusals([400, 401, 403, 404, 409, 413, 422]),
      },
    },
  },
  "/api/chat/{chatId}/stream": {
    get: {
      ...operation("Chat", "followChat", "Follow the chat's answer"),
      description: "The live turn from its start, with the text so far joined; with a cursor, what follows it.",
      requestParams: { path: chatId, header: followHeaders, query: afterQuery },
      responses: { "200": streamResponse(), "204": { description: nothingLeft }, ...refusals([400, 401, 404]) },
    },
    post: {
      ...operation("Chat", "askNumberedChat", "Ask in a numbered chat, in dialect `rag`"),
      description:
        "`POST /chat/{sessionId}/stream` below `/api`. `chatId` is the chat's number; `GET` then follows in `rag`.",
      requestParams: { path: chatId, header: idempotencyHeader.extend(lastEventHeader.shape) },
      requestBody: body(ragBody, { question: "What is a rivulet?" }),
      responses: {
        "200": {
          description: "The stream.",
          headers: turnHeadersSchema,
          content: { "text/event-stream": eventStreamContent(rag), "text/plain": eventStreamContent(rag) },
        },
        "204": { description: nothingLeft },
        ...refusals([400, 401, 403, 404, 409, 413, 422], rag.description?.failure),
      },
    },
  },
  "/api/chat/{chatId}/stop": {
    post: {
      ...operation("Chat", "stopChat", "Stop the chat's answer"),
      description: "Responds once the turn has ended. May be repeated, from any device.",
      requestParams: { path: chatId },
      responses: json(answers.stopped, [401, 403, 404]),
    },
  },
  "/api/turns/{turnId}": {
    get: {
      ...operation("Turns", "getTurn", "The state of a turn"),
      requestParams: { path: turnId },
      responses: json(answers.turn, [401, 404]),
    },
    delete: {
      ...operation("Turns", "stopTurn", "Stop a turn"),
      requestParams: { path: turnId },
      responses: json(answers.stopped, [401, 403, 404]),
    },
  },
  "/api/turns/{turnId}/stream": {
    get: {
      ...operation("Turns", "followTurn", "Follow a turn in any wire format, live or ended"),
      requestParams: { path: turnId, header: followHeaders, query: dialectQuery.extend(afterQuery.shape) },
      responses: {
        "200": {
          description: `The stream, in one of ${registry.dialects.map(({ name }) => `\`${name}\``).join(", ")}.`,
          headers: turnHeadersSchema,
          content: { "text/event-stream": eventStreamContent(aiSdk) },
        },
        "204": { description: nothingLeft },
        ...refusals([400, 401, 404]),
      },
    },
  },
  "/api/chats": {
    get: {
      ...operation("Chats", "listChats", "The chats, pinned first, then by last use"),
      requestParams: { query: chatListQuery },
      responses: json(answers.chatPage, [400, 401]),
    },
    post: {
      ...operation("Chats", "createChat", "Create a chat"),
      requestBody: body(newChat, { title: "Rivers" }),
      responses: json(answers.chat, [400, 401, 403, 409, 413], "201"),
    },
  },
  "/api/chats/{chatId}": {
    get: {
      ...operation("Chats", "getChat", "One chat"),
      requestParams: { path: chatId },
      responses: json(answers.chat, [401, 404]),
    },
    patch: {
      ...operation("Chats", "changeChat", "Rename or pin a chat"),
      requestParams: { path: chatId },
      requestBody: body(chatChange, { title: "Small rivers", pinned: true }),
      responses: json(answers.chat, [400, 401, 403, 404, 413]),
    },
    delete: {
      ...operation("Chats", "deleteChat", "Delete a chat and everything in it"),
      requestParams: { path: chatId },
      responses: noContent([401, 403, 404]),
    },
  },
  "/api/chats/{chatId}/messages": {
    get: {
      ...operation("Chats", "listMessages", "The messages of a chat, the newest page first"),
      description: "The visible branch, each page oldest first. A running answer has its text so far.",
      requestParams: { path: chatId, query: messageListQuery },
      responses: json(answers.messages, [400, 401, 404]),
    },
  },
  "/api/chats/{chatId}/events": {
    get: {
      ...operation("Chats", "watchChat", "Watch the chat's turns"),
      description:
        "The chat's latest turn and its state, immediately and on every change, from any client; follow it with " +
        "`/api/turns/{turnId}/stream`. It ends with the server or the chat, not with a turn: connect again.",
      requestParams: { path: chatId },
      responses: {
        "200": {
          description: "The feed. There is nothing to resume.",
          headers: z.object({ "X-Chat-Id": z.string().describe("The chat.") }),
          content: {
            "text/event-stream": {
              schema: z.string().describe("Server-Sent Events. The `data` of each is JSON."),
              "x-event-data": { $ref: "#/components/schemas/ChatEvent" },
            },
          },
        },
        ...refusals([401, 404]),
      },
    },
  },
  "/api/documents": {
    get: {
      ...operation("Documents", "listDocuments", "The documents, newest first"),
      requestParams: { query: pageQuery },
      responses: json(answers.documents, [400, 401]),
    },
    post: {
      ...operation("Documents", "uploadDocument", "Upload a document"),
      requestBody: {
        required: true,
        content: {
          "multipart/form-data": {
            schema: z.object({ file: z.file().describe("Text or Markdown in UTF-8, at most 10 MiB.") }),
          },
        },
      },
      responses: json(answers.document, [400, 401, 403, 413], "201"),
    },
  },
  "/api/documents/{documentId}": {
    get: {
      ...operation("Documents", "getDocument", "One document"),
      requestParams: { path: documentId },
      responses: json(answers.document, [401, 404]),
    },
    delete: {
      ...operation("Documents", "deleteDocument", "Delete a document"),
      requestParams: { path: documentId },
      responses: noContent([401, 403, 404]),
    },
  },
  "/api/models": {
    get: { ...operation("Models", "listModels", "The catalogue of models"), responses: json(answers.models, [401]) },
  },
  "/api/tokens": {
    get: {
      ...operation("Accounts", "listTokens", "The caller's access tokens, newest first"),
      requestParams: { query: pageQuery },
      responses: json(answers.tokens, [400, 401]),
    },
    post: {
      ...operation("Accounts", "createToken", "Create an access token"),
      description: "For the caller; with `email` and `password` for that account; with `guest` for a new guest.",
      security: [{ bearer: [] }, { session: [] }, {}],
      requestBody: {
        required: true,
        content: {
          "application/json": {
            schema: tokenRequest,
            examples: {
              guest: { summary: "A new guest", value: { guest: true, name: "Notebook" } },
              account: {
                summary: "An account",
                value: { email: "ada@example.com", password: "correct horse battery staple" },
              },
              caller: { summary: "The caller", value: { name: "CI", expiresAt: "2030-01-01T00:00:00Z" } },
            },
          },
        },
      },
      responses: json(answers.newToken, [400, 401, 403, 413], "201"),
    },
  },
  "/api/tokens/{tokenId}": {
    delete: {
      ...operation("Accounts", "revokeToken", "Revoke a token at once"),
      requestParams: { path: z.object({ tokenId: z.uuid() }) },
      responses: noContent([401, 403, 404]),
    },
  },
  "/api/sessions": {
    get: {
      ...operation("Accounts", "listSessions", "The caller's sessions, most recently used first"),
      responses: json(answers.sessions, [401]),
    },
    delete: {
      ...operation("Accounts", "signOutEverywhere", "End all sessions, including this one"),
      description: "Access tokens stay. Needs a session: a token is refused.",
      responses: noContent([401, 403]),
    },
  },
  "/api/sessions/{sessionId}": {
    delete: {
      ...operation("Accounts", "endSession", "Sign one browser out"),
      description: "Needs a session: a token is refused.",
      requestParams: { path: z.object({ sessionId: z.uuid() }) },
      responses: noContent([401, 403, 404]),
    },
  },
  "/api/account": {
    delete: {
      ...operation("Accounts", "deleteAccount", "Delete the account and everything in it"),
      description:
        "Requires the password; for a guest, the session and `confirm`. Running answers are stopped. It cannot be undone.",
      requestBody: body(accountDeletion, { password: "correct horse battery staple" }),
      responses: noContent([400, 401, 403, 413, 429]),
    },
  },
  "/api/account/export": {
    get: {
      ...operation("Accounts", "exportAccount", "Download everything"),
      description:
        "JSON lines, each with a `type`. The last one is of type `end`: without it the download was cut off.",
      responses: {
        "200": {
          description: "The export.",
          content: { "application/x-ndjson": { schema: z.string().describe("One JSON object per line.") } },
        },
        ...refusals([401, 429]),
      },
    },
  },
  "/api/account/password": {
    post: {
      ...operation("Accounts", "changePassword", "Change the password"),
      description:
        "Ends all sessions and revokes all tokens. A browser that asks with its session cookie gets a new one.",
      requestBody: body(passwordChange, {
        currentPassword: "correct horse battery staple",
        newPassword: "another horse and another staple",
      }),
      responses: noContent([400, 401, 403, 413]),
    },
  },
  "/api/invitations": {
    get: {
      ...operation("Accounts", "listInvitations", "The invitations of this server, newest first"),
      description: "For administrators.",
      responses: json(answers.invitations, [401, 403]),
    },
    post: {
      ...operation("Accounts", "createInvitation", "Create an invitation"),
      description: "For administrators. The link works once.",
      requestBody: body(invitationInput, { email: "grace@example.com", expiresInDays: 3 }),
      responses: json(answers.newInvitation, [400, 401, 403, 413, 429], "201"),
    },
  },
  "/api/invitations/{invitationId}": {
    delete: {
      ...operation("Accounts", "revokeInvitation", "Revoke an invitation at once"),
      description: "For administrators.",
      requestParams: { path: z.object({ invitationId: z.uuid() }) },
      responses: noContent([401, 403, 404]),
    },
  },
  "/api/users": {
    post: {
      ...operation("Accounts", "signUp", "Sign up"),
      description:
        "A signed-in guest keeps chats and documents; existing sessions and tokens end, and a new session begins.",
      ...anyone,
      requestBody: body(signUpInput, { email: "ada@example.com", password: "correct horse battery staple" }),
      responses: json(answers.user, [400, 403, 409, 413], "201"),
    },
  },
  "/api/auth/csrf": {
    get: {
      ...operation("Accounts", "getCsrfToken", "For the browser's sign-in: next-auth's CSRF token"),
      ...anyone,
      responses: { "200": { description: "The token.", content: { "application/json": { schema: answers.csrf } } } },
    },
  },
  "/api/auth/session": {
    get: {
      ...operation("Accounts", "getSession", "The session of the cookie, or null"),
      ...anyone,
      responses: {
        "200": { description: "The session.", content: { "application/json": { schema: answers.session } } },
      },
    },
  },
  "/api/auth/callback/password": {
    post: {
      ...operation("Accounts", "signInWithPassword", "Sign a browser in with email and password"),
      description: "Redirects, and sets the session cookie when the password is right. Programs use tokens instead.",
      ...anyone,
      requestBody: {
        required: true,
        content: {
          "application/x-www-form-urlencoded": {
            schema: answers.csrf.extend({ email: z.email(), password: z.string() }).meta({ id: "SignIn" }),
          },
        },
      },
      responses: { "302": { description: "To the start page, or back to `/sign-in` with the reason in `code`." } },
    },
  },
  "/api/health": {
    get: { ...operation("Server", "getHealth", "The process is up"), ...anyone, responses: okResponse() },
  },
  "/api/health/stream": {
    get: {
      ...operation("Server", "testStream", "Ten events in a second, to test for buffering on the way"),
      description: "Each has its index and send time. They must arrive as far apart as they were sent.",
      ...anyone,
      responses: {
        "200": {
          description: "The stream. It ends by itself; there is nothing to resume.",
          content: {
            "text/event-stream": {
              schema: z.string().describe("Server-Sent Events. The `data` of each is JSON."),
              "x-event-data": { $ref: "#/components/schemas/TestEvent" },
            },
          },
        },
        ...refusals([]),
      },
    },
  },
  "/health": {
    get: {
      ...operation("Server", "getHealthWithCors", "The same, readable by other origins"),
      ...anyone,
      responses: okResponse(),
    },
  },
  "/api/ready": {
    get: {
      ...operation("Server", "getReadiness", "The server accepts new turns"),
      ...anyone,
      responses: json(answers.ok, []),
    },
  },
  "/openapi.json": {
    get: {
      ...operation("Server", "getDescription", "This description"),
      ...anyone,
      responses: {
        "200": {
          description: "OpenAPI 3.1.",
          content: { "application/json": { schema: z.looseObject({ openapi: z.literal("3.1.1") }) } },
        },
      },
    },
  },
};

function operation(tag: string, operationId: string, summary: string): Omit<ZodOpenApiOperationObject, "responses"> {
  return { tags: [tag], operationId, summary };
}

function body(schema: z.ZodType, example: object): ZodOpenApiOperationObject["requestBody"] {
  return { required: true, content: { "application/json": { schema, examples: { example: { value: example } } } } };
}

function json(schema: z.ZodType, refused: Refused[], status: "200" | "201" = "200") {
  const description = status === "201" ? "Created." : "Success.";
  return { [status]: { description, content: { "application/json": { schema } } }, ...refusals(refused) };
}

function noContent(refused: Refused[]) {
  return { "204": { description: "Deleted." }, ...refusals(refused) };
}

function okResponse() {
  return { "200": { description: "Up.", content: { "application/json": { schema: answers.ok } } } };
}

function streamResponse({ examples = false } = {}) {
  return {
    description: "The stream.",
    headers: turnHeadersSchema,
    content: { "text/event-stream": eventStreamContent(aiSdk, { examples }) },
  };
}
