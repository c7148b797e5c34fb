// What a dialect may know of a turn besides its chunks: plain values as of the turn's start, equal
// on every load, so that a stream has the same bytes on every resume (docs/protocol.md §2). Types
// only.
import type { ChatMessage, MessageMetadata } from "./chunks";
import type { TurnView } from "./turn-input";

/** A message as stored. */
export type StoredMessage = {
  id: string;
  role: "user" | "assistant";
  parts: ChatMessage["parts"];
  /** `complete` for user messages; for an answer its turn's state, `streaming` while running. */
  status: string;
  /** ISO 8601, UTC. */
  createdAt: string;
  /** For a user message, the client's metadata; for an answer, the turn's. */
  metadata: unknown;
};

export type ChatContext = {
  /** The user's own small number for the chat. */
  number: number;
  title: string;
  createdAt: string;
  updatedAt: string;
  /**
   * The end of the branch up to and including the message being answered, oldest first. Empty if
   * only the chat was loaded.
   */
  messages: StoredMessage[];
};

/** What to load: the turn, also its chat's row, or also the messages before the answer. */
export type ContextScope = "turn" | "chat" | "branch";

export type TurnContext = {
  turnId: string;
  chatId: string;
  /** The answer's message id. */
  messageId: string;
  userMessageId: string;
  /** As the client named it, else the catalogue id. */
  model: string;
  /** ISO 8601, UTC. */
  createdAt: string;
  view: TurnView;
  /** `echo` of the prompt; pruned with it. */
  promptEcho?: Record<string, unknown>;
  /** Null for dialects that do not load it. */
  chat: ChatContext | null;
};

/** A finished answer, for clients that do not stream. */
export type TurnAnswer = { context: TurnContext; message: ChatMessage; metadata: Partial<MessageMetadata> };

/** A message referenced by an id this server issued. */
export type ReferencedMessage = StoredMessage & { parentId: string | null };

/**
 * The caller's own objects that a request refers to. Missing ones are unknown or belong to another
 * user.
 */
export type ResolvedReferences = {
  /** The turn that the request continues. */
  turn?: { chatId: string; view: TurnView; answer: ReferencedMessage };
  messages: ReadonlyMap<string, ReferencedMessage>;
};
