// What a dialect may know of a turn besides its chunks: plain values as of the turn's start, equal
// on every load, so that a stream has the same bytes on every resume (docs/protocol.md §2). Types
// only.
import type { JSONValue } from "ai";
import type { ChatMessage, MessageMetadata } from "./chunks";

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

/** Client options that affect the frames; stored with the turn. */
export type TurnView = {
  /** Send a final frame with the usage. */
  includeUsage?: boolean;
  /** Include the sources in the last frame. */
  includeSources?: boolean;
  /** The client answers tool calls. */
  clientTools?: boolean;
  /** False: the client asked not to keep the answer for retrieval by id, or deleted it. */
  kept?: boolean;
  /** The client did not wait for the answer. */
  background?: boolean;
  /** Include encrypted reasoning for the client to send back. */
  sealsReasoning?: boolean;
  /** System messages of the conversation so far; later requests do not repeat them. */
  system?: string;
  /** Request fields the answer echoes. */
  echo?: Record<string, unknown>;
  /** Show tool calls in the legacy `function_call` form. */
  functionCall?: boolean;
  /** A text completion rather than a chat. */
  completes?: boolean;
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

/** How the client wants the model called. */
export type TurnCall = {
  settings: {
    temperature?: number;
    topP?: number;
    maxOutputTokens?: number;
    stopSequences?: string[];
    seed?: number;
    presencePenalty?: number;
    frequencyPenalty?: number;
  };
  /**
   * Further request fields, named as in OpenAI's Chat Completions. Fields the model's provider does
   * not support are rejected (lib/models/request-fields.ts).
   */
  fields?: Record<string, JSONValue>;
};

/** A prompt that carries its own history (docs/protocol.md §6.6), and how to call the model. */
export type TurnPrompt = TurnCall & {
  /**
   * An answer's metadata names its model; only that model gets back the provider state of its
   * parts.
   */
  messages: (Pick<ChatMessage, "role" | "parts"> & { metadata?: { model: string } })[];
  /**
   * Drop the oldest messages if too long for the model; otherwise the provider rejects the request.
   */
  fitsContext?: boolean;
  /** Echoed request fields that may be large. */
  echo?: Record<string, unknown>;
  /** Replaces Rivulet's own. */
  instructions: string;
  /** Instructions in mid-conversation: `behind` counts the messages that follow them. */
  notes?: { behind: number; text: string }[];
  /**
   * A text to complete verbatim and an optional suffix after the answer; replaces messages where
   * the model's server supports it.
   */
  completes?: { prompt: string; suffix?: string };
  /** The client retries failed calls itself and wants failures immediately. */
  repeats?: false;
  /** Run by the client. `parameters` is a JSON Schema. */
  tools?: { name: string; description?: string; parameters: Record<string, unknown>; strict?: boolean }[];
  toolChoice?: "auto" | "none" | "required" | { type: "tool"; toolName: string };
};
