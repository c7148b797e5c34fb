// What a dialect may know of a turn besides its chunks: plain values, as of the turn's start, equal whenever they are
// loaded, so that a stream has the same bytes on every resume (docs/protocol.md §2). Types only.
import type { ChatMessage, MessageMetadata } from "./chunks";

/** A message as it is stored. */
export type StoredMessage = {
  id: string;
  role: "user" | "assistant";
  parts: ChatMessage["parts"];
  /** `complete` for user messages; an answer has the state of its turn, `streaming` while that runs. */
  status: string;
  /** ISO 8601, UTC. */
  createdAt: string;
  /** Of a user message what its client sent along, of an answer the turn's own metadata. */
  metadata: unknown;
};

export type ChatContext = {
  /** The user's own small number for it. */
  number: number;
  title: string;
  createdAt: string;
  updatedAt: string;
  /** The end of the branch, up to and including the message that the turn answers, oldest first. Empty for who knows only the chat. */
  messages: StoredMessage[];
};

/** What a client asked of the frames themselves; kept with the turn. */
export type TurnView = {
  /** A last frame with the usage. */
  includeUsage?: boolean;
  /** The model was offered tools that the client runs. */
  clientTools?: boolean;
};

/** Of the turn alone, of its chat's row too, or of the messages above the answer as well. */
export type Knows = "turn" | "chat" | "branch";

export type TurnContext = {
  turnId: string;
  chatId: string;
  /** The answer. */
  messageId: string;
  userMessageId: string;
  /** As the client named it, else the catalogue's id. */
  model: string;
  /** ISO 8601, UTC. */
  createdAt: string;
  view: TurnView;
  /** Null for dialects that do not ask for it. */
  chat: ChatContext | null;
};

/** An answer that has ended, for those who asked for it whole. */
export type TurnAnswer = { context: TurnContext; message: ChatMessage; metadata: Partial<MessageMetadata> };

/** A prompt that comes with its own history (docs/protocol.md §6.6), and how the model is to be called. */
export type TurnPrompt = {
  messages: Pick<ChatMessage, "role" | "parts">[];
  /** In place of Rivulet's own. */
  instructions: string;
  settings: {
    temperature?: number;
    topP?: number;
    maxOutputTokens?: number;
    stopSequences?: string[];
    seed?: number;
    presencePenalty?: number;
    frequencyPenalty?: number;
  };
  /** Run by the client, not here. `parameters` is a JSON Schema. */
  tools?: { name: string; description?: string; parameters: Record<string, unknown> }[];
  toolChoice?: "auto" | "none" | "required" | { type: "tool"; toolName: string };
};
