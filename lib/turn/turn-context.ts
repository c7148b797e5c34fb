// What a dialect may know of a turn besides its chunks: plain values, as of the turn's start, equal whenever they are
// loaded, so that a stream has the same bytes on every resume (docs/protocol.md §2). Types only.
import type { JSONValue } from "ai";
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
  /** The last frame has the sources too. */
  includeSources?: boolean;
  /** Calls are the client's to answer. */
  clientTools?: boolean;
  /** False: the client asked that the answer cannot be read by its id later on, or deleted it. */
  kept?: boolean;
  /** The client did not wait for the answer. */
  background?: boolean;
  /** Reasoning comes with what the client sends back for it. */
  sealsReasoning?: boolean;
  /** The system messages of the conversation so far, which later requests do not repeat. */
  system?: string;
  /** Fields of the request that the answer repeats. */
  echo?: Record<string, unknown>;
  /** They are shown in the older form, as the call of a function. */
  functionCall?: boolean;
  /** A text was to be gone on with. */
  completes?: boolean;
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
  /** `echo` of the prompt, until that is pruned. */
  promptEcho?: Record<string, unknown>;
  /** Null for dialects that do not ask for it. */
  chat: ChatContext | null;
};

/** An answer that has ended, for those who asked for it whole. */
export type TurnAnswer = { context: TurnContext; message: ChatMessage; metadata: Partial<MessageMetadata> };

/** A message that a client names by an id that this server gave out. */
export type KnownMessage = StoredMessage & { parentId: string | null };

/** What of a caller's own a request refers to. What is missing is unknown, or somebody else's. */
export type Known = {
  /** The turn that the request continues. */
  turn?: { chatId: string; view: TurnView; answer: KnownMessage };
  messages: ReadonlyMap<string, KnownMessage>;
};

/** How a client wants the model called. */
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
   * Further fields of the request, named as in OpenAI's Chat Completions. Those that the model's provider does not take are
   * refused (lib/models/request-fields.ts).
   */
  fields?: Record<string, JSONValue>;
};

/** A prompt that comes with its own history (docs/protocol.md §6.6), and how the model is to be called. */
export type TurnPrompt = TurnCall & {
  /** Of an answer the metadata name its model, which alone gets back the provider's state in its parts. */
  messages: (Pick<ChatMessage, "role" | "parts"> & { metadata?: { model: string } })[];
  /** What is too long for the model is left out, oldest first; else the provider refuses it. */
  fitsContext?: boolean;
  /** Fields of the request that the answer repeats and that may be large. */
  echo?: Record<string, unknown>;
  /** In place of Rivulet's own. */
  instructions: string;
  /** Instructions in the middle of the conversation: `behind` counts the messages that follow them. */
  notes?: { behind: number; text: string }[];
  /** A text to go on with, as it is, and what stands behind the answer: in place of messages, where the model's server can. */
  completes?: { prompt: string; suffix?: string };
  /** Its client repeats a call that failed, and is told at once. */
  repeats?: false;
  /** Run by the client, not here. `parameters` is a JSON Schema. */
  tools?: { name: string; description?: string; parameters: Record<string, unknown>; strict?: boolean }[];
  toolChoice?: "auto" | "none" | "required" | { type: "tool"; toolName: string };
};
