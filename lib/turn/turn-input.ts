// What a client asks for, read from its body and before any lookup: the one shape that all formats
// parse into. lib/services/turns adds the chat and the key (docs/protocol.md §5 and §6). Types only.
import type { JSONValue } from "ai";
import type { ChatMessage, SearchMode } from "./chunks";

export type TurnInput = {
  model?: string;
  searchMode?: SearchMode;
  documentIds?: string[];
  view?: TurnView;
  /** The client can show a consent request and send the decision. */
  canAsk?: boolean;
} & (
  | {
      trigger: "submit-message";
      message: Pick<ChatMessage, "id" | "parts">;
      /** Stored with the message. */
      metadata?: unknown;
      call?: TurnCall;
      /** The client's conversation before the message. Undefined: the branch in view. */
      before?: ClientMessage[];
      /** Replaces the message the client knew by this id. */
      edits?: string;
    }
  | {
      trigger: "regenerate-message";
      /** The answer to regenerate, or the question to answer again; undefined: the last. */
      messageId?: string;
      /** The question as the client holds it, which wins, and its conversation before that. */
      message?: Pick<ChatMessage, "id" | "parts">;
      metadata?: unknown;
      before?: ClientMessage[];
    }
  | {
      trigger: "continue-message";
      /** The answer to continue; undefined: the last. Its documents are not searched again. */
      messageId?: string;
    }
  /** Continues the answer that requested these decisions. */
  | { trigger: "answer-approvals"; decisions: Decision[] }
  /** Continues the answer whose calls the client's tools have answered. */
  | ({ trigger: "answer-calls" } & Results)
  /**
   * Creates a chat with these messages as its branch, or with `parentId` a branch after that
   * message, and answers the last of them. Shown in the user's lists only if `listed`.
   */
  | { trigger: "answer-prompt"; prompt: TurnPrompt; parentId?: string; listed?: boolean }
);

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

/** A message as its client holds it. Without an id it is matched by its text. */
export type ClientMessage = Pick<ChatMessage, "role" | "parts"> & { id?: string };

/** Decides the consent request with this id. */
export type Decision = { id: string; approved: boolean };

export type CallResult = { toolCallId: string } & ({ output: unknown } | { errorText: string });
export type Results = { messageId: string; results: CallResult[] };
