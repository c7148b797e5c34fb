// The contract of a wire format. Outbound: a pure function from the chunks of a turn to frames. Inbound: the routes it
// answers, as data, each with a pure function from a request to a turn. No I/O, no clock, no storage: the same chunks and
// context always give the same frames, so any dialect can follow any turn, live or later (docs/protocol.md §6).
import type { z } from "zod";
import type { LoggedChunk, SearchMode, TurnError } from "@/lib/turn/chunks";
import type {
  Known,
  Knows,
  StoredMessage,
  TurnAnswer,
  TurnCall,
  TurnContext,
  TurnPrompt,
  TurnView,
} from "@/lib/turn/turn-context";
import type { ChatReference } from "@/lib/turn/turn-options";

export type DialectFrame = {
  /** SSE event name, only where the format has one. */
  event?: string;
  /** One line. */
  data: string;
  /** The frame's place when it is not the chunk just fed: for a reader whose frames and chunks do not line up. */
  at?: { seq: number; n: number };
};

/** Fed with every chunk of one turn in order; may remember what it saw. Most chunks give one frame or none. */
export type Encode = (logged: LoggedChunk) => DialectFrame[];

/** What one reader wants of its own stream; it changes neither the turn nor another reader's stream. */
export type Pacing = {
  chunkWords?: number;
  delayMs?: number;
  /** Only the frames behind this one, counted from 0: for formats that number their events. */
  afterFrame?: number;
};

/** Why a request gets no answer; `code` is one of docs/protocol.md §3, or a turn's own (§4) with status 502. */
export type Failure = {
  status: number;
  code: string;
  message: string;
  requestId: string;
  details?: Record<string, string | number>;
  /** Seconds. */
  retryAfter?: number;
};

export interface Dialect {
  readonly name: string;
  /** What `encoder` gets to know besides chunks. Whatever is more than the turn costs a query. */
  readonly knows: Knows;
  /** True when a frame depends on earlier chunks: then a resumed encoder is fed from seq 1, frames up to the cursor dropped. */
  readonly remembers: boolean;
  /** A new encoder for one reader of one turn. */
  encoder(context: TurnContext, pacing: Pacing): Encode;
  /** Closes every complete stream, without an id: `[DONE]`. */
  readonly trailer?: string;
  /** Its clients split at blank lines: the layout is `bare` for those that do not ask for an event stream (lib/sse.ts). */
  readonly bare?: boolean;
  /** Its clients parse each piece of the network's by itself: a write is whole events that fit one TCP segment. */
  readonly segmented?: boolean;
  /** Headers of its streams besides those of every stream. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Below this path unknown addresses are refused in its shape. */
  readonly prefix?: string;
  /** The paths this format answers. Empty: it is reached by `?dialect=` alone. */
  readonly routes: readonly Route[];
  /** The body of an error before the first byte. Default: the native one of docs/protocol.md §3. */
  failure?(failure: Failure): unknown;
  /** Its status where that differs from the native one. */
  statusOf?(failure: Failure): number;
  /**
   * The failure of a turn as a refusal. A dialect that has this answers with it also in place of a stream, when the turn fails
   * before its first content. Default: status 502, and in a stream a frame.
   */
  turnFailure?(error: TurnError): Omit<Failure, "requestId">;
  /** For the API's description (app/openapi), which reads everything else from the routes. */
  readonly describes?: Description;
}

/** What a format shows, as schemas. Tests hold them against its frames and answers. */
export type Description = {
  /** One sentence. */
  summary: string;
  /** The JSON in the `data` of one event. */
  event: z.ZodType;
  /** What `failure` returns. */
  failure?: z.ZodType;
};

export type Route = TurnRoute | ListRoute | AnswerRoute | EmbeddingRoute;

type Common = {
  /** Without a trailing slash; `:name` stands for one segment, `:name*` for the rest. */
  readonly path: string;
  /** The parameter that must be the caller's own id. */
  readonly owner?: string;
  /** The parameter that names the chat. */
  readonly chat?: string;
};

/** POST starts a turn. Where it can be streamed, GET follows: the chat's live turn, or the cursor's. */
export type TurnRoute = Common & {
  readonly kind: "turn";
  /** Tells it from another such route of the dialect, in the names of its operations. */
  readonly label?: string;
  readonly body: z.ZodType;
  /** The turn and messages of the caller that the body names. `ask` gets those that are there. */
  names?(body: unknown): Names;
  /**
   * From what the client said to what is to be done. Throws AppError `bad_request` for what a schema cannot say, and
   * `not_found` for what the body names and is not there.
   */
  ask(input: AskInput): Ask;
  readonly streams: boolean;
  /** The body of the answer for a client that wants it whole. */
  whole?(answer: TurnAnswer): unknown;
  /** The same of a turn that runs: for a client that does not wait, and for one that reads it meanwhile. */
  begun?(context: TurnContext): unknown;
  /** What `whole` returns, and a body to try: for the API's description. */
  readonly answer?: z.ZodType;
  readonly example?: object;
  /** An unused number makes the chat with that number. */
  readonly makesNumbers?: boolean;
  /** `Content-Type: text/plain` for a client that asks for it. */
  readonly plainText?: boolean;
  /** The query of a reader that wants its frames regrouped or paced. */
  readonly pacing?: z.ZodType<Pacing>;
};

/** GET lists something stored. `answer` is what `list` returns: for the API's description. */
export type ListRoute = Common & { readonly answer?: z.ZodType } & (
    | { readonly kind: "messages"; list(messages: StoredMessage[]): unknown }
    | { readonly kind: "models"; list(models: ListedModel[]): unknown }
    /** One of them, which the path's parameter names. */
    | { readonly kind: "model"; readonly parameter: string; show(model: ListedModel): unknown }
  );

/** One turn, by the id that this format gives it. */
export type AnswerRoute = Common & {
  /**
   * `answer`: GET reads it, whole or with `?stream=true` as a stream; DELETE makes it unreadable. `stop`: POST stops it.
   * `input`: GET lists what it answers.
   */
  readonly kind: "answer" | "stop" | "input";
  /** The parameter that names the turn. */
  readonly turn: string;
  /** Null for what is no id of this format. */
  turnIdOf(id: string): string | null;
  /** The other side: what POST answers and GET reads, with `begun` and `whole`. */
  readonly reads: Required<Pick<TurnRoute, "whole" | "begun" | "answer">>;
  /** What DELETE answers. */
  deleted?(id: string): unknown;
  /** A page of what was asked, from the messages above the answer, oldest first. Throws AppError `bad_request`. */
  list?(messages: StoredMessage[], query: unknown): unknown;
  /** Of `input`: what `list` gets to know. */
  readonly query?: z.ZodObject;
  /** What `deleted` and `list` return: for the API's description. */
  readonly shape?: z.ZodType;
};

/** POST makes vectors of texts. */
export type EmbeddingRoute = Common & {
  readonly kind: "embeddings";
  readonly body: z.ZodType;
  /** Throws AppError too_large for more characters than that. */
  ask(body: unknown, maxCharacters: number): EmbeddingAsk;
  show(embedded: Embedded, body: unknown): unknown;
  readonly answer: z.ZodType;
  readonly example: object;
};

/** `fields` are the provider's own. */
export type EmbeddingAsk = { model?: string | undefined; texts: string[]; fields: NonNullable<TurnCall["fields"]> };
export type Embedded = { model: string; embeddings: number[][]; tokens: number };

export type ListedModel = { id: string; provider: string; ready: boolean };

/** `body` has been through the route's schema. */
export type AskInput = { body: unknown; accept: string; known: Known };

export type Names = { turnId?: string; messageIds: string[] };

export type Ask = {
  /** Undefined: the chat of the path, else a new one. */
  chat?: ChatReference;
  /** A text is a new message in that chat; a prompt brings its own history and gets a chat of its own, unless it has a parent. */
  say: string | TurnPrompt;
  /** The message of the chat that the prompt follows. */
  parentId?: string;
  /** What the client says was said before the text. */
  before?: TurnPrompt["messages"];
  /** A prompt's chat is to be found in the user's list of chats. */
  listed?: boolean;
  /** How the model is called in a chat; a prompt says it itself. */
  call?: TurnCall;
  /** Without an `Idempotency-Key` the turn ends when its client leaves. */
  stopsWithClient?: boolean;
  stream: boolean;
  /** Unless it is streamed, the client gets `begun` and does not wait. */
  background?: boolean;
  model?: string;
  searchMode?: SearchMode;
  documentIds?: string[];
  /** Kept with the user message. */
  metadata?: unknown;
  view?: TurnView;
};
