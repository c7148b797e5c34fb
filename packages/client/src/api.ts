// Typed calls of the server's JSON endpoints (docs/protocol.md §5): one function each, the response
// parsed, failures as RequestError. Stream endpoints are in transport.ts. No cache, no retry, no
// redirect to sign-in.
import { z } from "zod";
import type { ChatMessage, TurnError, TurnState } from "../../../lib/turn/chunks.ts";
import { abortableRead, badResponse, type Http, RequestError, request } from "./request.ts";

const chat = z.object({
  id: z.string(),
  number: z.number(),
  title: z.string(),
  pinned: z.boolean(),
  createdAt: z.string(),
  updatedAt: z.string(),
  liveTurnId: z.string().nullable(),
});
/** All times are ISO 8601, UTC. */
export type Chat = z.infer<typeof chat>;

const chatPage = z.object({ chats: z.array(chat), nextCursor: z.string().nullable() });
export type ChatPage = z.infer<typeof chatPage>;

// Parts come from the AI SDK and the server; a page renders those it knows.
const message = z.custom<ChatMessage>((value) => {
  const candidate = value as Partial<ChatMessage> | null;
  return typeof candidate?.id === "string" && typeof candidate.role === "string" && Array.isArray(candidate.parts);
}, "not a message");

const turnState = z.enum(["running", "complete", "stopped", "failed", "interrupted"]) satisfies z.ZodType<TurnState>;
const turn = z.object({
  turnId: z.string(),
  chatId: z.string(),
  messageId: z.string(),
  userMessageId: z.string(),
  status: turnState,
  error: z.custom<TurnError>().nullish(),
  createdAt: z.string(),
  endedAt: z.string().nullable(),
});

const stopped = z.object({ turnId: z.string().nullable(), status: turnState.nullable() });

const document = z.object({
  id: z.string(),
  title: z.string(),
  filename: z.string(),
  mediaType: z.string(),
  bytes: z.number(),
  passageCount: z.number(),
  /** Ships with Rivulet. */
  sample: z.boolean(),
  createdAt: z.string(),
});
export type Document = z.infer<typeof document>;

const model = z.object({
  id: z.string(),
  label: z.string(),
  provider: z.string(),
  ready: z.boolean(),
  reason: z.string().nullish(),
});

const token = z.object({
  id: z.string(),
  name: z.string(),
  createdAt: z.string(),
  lastUsedAt: z.string().nullable(),
  expiresAt: z.string().nullable(),
});
export type Token = z.infer<typeof token>;

const session = z.object({
  id: z.string(),
  createdAt: z.string(),
  lastSeenAt: z.string(),
  expiresAt: z.string(),
  userAgent: z.string(),
  /** The session making this request. */
  current: z.boolean(),
});
export type BrowserSession = z.infer<typeof session>;

const newToken = z.object({
  id: z.string(),
  /** Shown once, never again. */
  token: z.string(),
  userId: z.string(),
  expiresAt: z.string().nullable(),
});

const invitation = z.object({
  id: z.string(),
  email: z.string().nullable(),
  role: z.enum(["user", "admin"]),
  createdAt: z.string(),
  expiresAt: z.string(),
  usedAt: z.string().nullable(),
});
export type Invitation = z.infer<typeof invitation>;

const user = z.object({ id: z.string(), email: z.string().nullable(), name: z.string().nullable() });

type CallOptions = { signal?: AbortSignal };
type PageQuery = { cursor?: string; limit?: number };

/** Every call rejects with RequestError, or with the signal's reason after an abort. */
export function createApi(http: Http = {}) {
  async function call<T>(schema: z.ZodType<T>, path: string, init: RequestInit): Promise<T> {
    const response = await request(http, path, init);
    const text = await abortableRead(init.signal, () => response.text());
    try {
      return schema.parse(JSON.parse(text));
    } catch (cause) {
      throw badResponse("The server's answer is not what this page expects. Reload the page.", response.status, cause);
    }
  }
  const get = <T>(schema: z.ZodType<T>, path: string, { signal }: CallOptions = {}) => call(schema, path, { signal });
  const send = <T>(
    schema: z.ZodType<T>,
    method: "POST" | "PATCH",
    path: string,
    body: object,
    { signal }: CallOptions = {},
  ) => call(schema, path, { method, headers: json, body: JSON.stringify(body), signal });
  const remove = async (path: string, body?: object): Promise<void> => {
    await request(http, path, { method: "DELETE", headers: json, ...(body && { body: JSON.stringify(body) }) });
  };

  return {
    /** Pinned first, then by last change, newest first. `q` searches titles and texts. */
    listChats: (query: { q?: string; cursor?: string; limit?: number } = {}, options?: CallOptions) =>
      get(chatPage, `/api/chats${queryString(query)}`, options),
    createChat: (fields: { id?: string; title?: string } = {}, options?: CallOptions) =>
      send(chat, "POST", "/api/chats", fields, options),
    requireChat: (id: string, options?: CallOptions) => get(chat, `/api/chats/${encodeURIComponent(id)}`, options),
    renameChat: (id: string, title: string) => send(chat, "PATCH", `/api/chats/${encodeURIComponent(id)}`, { title }),
    pinChat: (id: string, pinned: boolean) => send(chat, "PATCH", `/api/chats/${encodeURIComponent(id)}`, { pinned }),
    deleteChat: (id: string) => remove(`/api/chats/${encodeURIComponent(id)}`),
    /**
     * The branch in view from its end, each page oldest first. A page ends with the message
     * `cursor`.
     */
    listMessages: (chatId: string, query: PageQuery = {}, options?: CallOptions) =>
      get(messagePage, `/api/chats/${encodeURIComponent(chatId)}/messages${queryString(query)}`, options),
    /** Null if the chat has no such message. */
    findMessage: async (chatId: string, id: string, options?: CallOptions) => {
      const path = `/api/chats/${encodeURIComponent(chatId)}/messages${queryString({ cursor: id, limit: 1 })}`;
      return (await get(messagePage, path, options)).messages[0] ?? null;
    },
    requireTurn: (turnId: string, options?: CallOptions) =>
      get(turn, `/api/turns/${encodeURIComponent(turnId)}`, options),
    /**
     * Resolves once the end is stored, with the final status: the turn may have finished first.
     * Nulls: nothing was running.
     */
    stopTurn: (chatId: string) => send(stopped, "POST", `/api/chat/${encodeURIComponent(chatId)}/stop`, {}),
    /** The same for one turn, in any chat. */
    endTurn: (turnId: string) =>
      call(stopped, `/api/turns/${encodeURIComponent(turnId)}`, { method: "DELETE", headers: json }),
    /** Newest first, like the tokens. */
    listDocuments: (query: PageQuery = {}, options?: CallOptions) =>
      get(documentPage, `/api/documents${queryString(query)}`, options),
    uploadDocument: (file: File, { signal }: CallOptions = {}) => {
      const body = new FormData();
      body.set("file", file);
      return call(document, "/api/documents", { method: "POST", body, signal });
    },
    deleteDocument: (id: string) => remove(`/api/documents/${encodeURIComponent(id)}`),
    listModels: (options?: CallOptions) => get(models, "/api/models", options),
    listTokens: (query: PageQuery = {}, options?: CallOptions) =>
      get(tokenPage, `/api/tokens${queryString(query)}`, options),
    createToken: (fields: { name?: string } = {}) => send(newToken, "POST", "/api/tokens", fields),
    deleteToken: (id: string) => remove(`/api/tokens/${encodeURIComponent(id)}`),
    listSessions: async (options?: CallOptions) => (await get(sessions, "/api/sessions", options)).sessions,
    endSession: (id: string) => remove(`/api/sessions/${encodeURIComponent(id)}`),
    /** Including this one. */
    endAllSessions: () => remove("/api/sessions"),
    changePassword: async (fields: { currentPassword: string; newPassword: string }): Promise<void> => {
      await request(http, "/api/account/password", { method: "POST", headers: json, body: JSON.stringify(fields) });
    },
    deleteAccount: (proof: { password: string } | { confirm: true }) => remove("/api/account", proof),
    listInvitations: async (options?: CallOptions) => (await get(invitations, "/api/invitations", options)).invitations,
    createInvitation: (fields: { email?: string; role?: Invitation["role"] } = {}) =>
      send(newInvitation, "POST", "/api/invitations", fields),
    deleteInvitation: (id: string) => remove(`/api/invitations/${encodeURIComponent(id)}`),
    signUp: (fields: { email: string; password: string; name?: string }) => send(user, "POST", "/api/users", fields),
  };
}

/**
 * The message of an ended turn; null while it runs. Throws RequestError, `not_found` if the message
 * is gone.
 */
export async function findStoredAnswer(http: Http, turnId: string, signal: AbortSignal): Promise<ChatMessage | null> {
  const api = createApi(http);
  const { status, chatId, messageId } = await api.requireTurn(turnId, { signal });
  if (status === "running") return null;
  const stored = await api.findMessage(chatId, messageId, { signal });
  if (stored) return stored;
  throw new RequestError("This answer is no longer part of the conversation.", { status: 404, code: "not_found" });
}

const nextCursor = z.string().nullable();
const messagePage = z.object({ messages: z.array(message), nextCursor });
export type MessagePage = z.infer<typeof messagePage>;
const documentPage = z.object({ documents: z.array(document), nextCursor });
const models = z.object({ models: z.array(model), default: z.string() });
const sessions = z.object({ sessions: z.array(session) });
const tokenPage = z.object({ tokens: z.array(token), nextCursor });
export type TokenPage = z.infer<typeof tokenPage>;
const invitations = z.object({ invitations: z.array(invitation) });
/** The token is shown once: `/sign-in?invite=<token>` is the link. */
const newInvitation = invitation.extend({ token: z.string() });

// Required for every changing request with a cookie: a plain cross-site form cannot send it.
const json = { "Content-Type": "application/json" };

function queryString(fields: Record<string, string | number | undefined>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) query.set(name, String(value));
  return query.size > 0 ? `?${query}` : "";
}
