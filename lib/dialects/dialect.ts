// The contract of a wire format. Outbound: a pure function from a turn's chunks to frames. Inbound:
// its routes, as data, each with a pure function from a request to a turn. No I/O, no clock, no
// storage: the same chunks and context always give the same frames, so any dialect can follow any
// turn, live or later (docs/protocol.md §6).
import type { z } from "zod";
import type { LoggedChunk, TurnError } from "@/lib/turn/chunks";
import type { ContextScope, ResolvedReferences, StoredMessage, TurnAnswer, TurnContext } from "@/lib/turn/turn-context";
import type { TurnCall, TurnInput } from "@/lib/turn/turn-input";
import type { ChatReference } from "@/lib/turn/turn-options";

export type DialectFrame = {
  /** SSE event name, if the format has one. */
  event?: string;
  /** One line. */
  data: string;
  /**
   * Cursor position of the frame, for readers whose frames do not align with chunks. Default: the
   * chunk just fed.
   */
  at?: { seq: number; n: number };
};

/** Fed every chunk of one turn in order; may keep state. Most chunks yield one frame or none. */
export type Encode = (logged: LoggedChunk) => DialectFrame[];

/** Options of one reader's stream; they affect neither the turn nor other readers. */
export type Pacing = {
  chunkWords?: number;
  delayMs?: number;
  /**
   * Skip frames up to and including this one (counted from 0): for formats that number their
   * events.
   */
  afterFrame?: number;
};

/**
 * Why a request is refused; `code` is one of docs/protocol.md §3, or a turn's own (§4) with status
 * 502.
 */
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
  /** What `encoder` receives besides chunks. Anything beyond the turn costs a query. */
  readonly contextScope: ContextScope;
  /**
   * True if frames depend on earlier chunks: a resumed encoder is then fed from seq 1 and drops
   * frames up to the cursor.
   */
  readonly stateful: boolean;
  /** A new encoder for one reader of one turn. */
  encoder(context: TurnContext, pacing: Pacing): Encode;
  /** Ends every complete stream, without an id: `[DONE]`. */
  readonly trailer?: string;
  /**
   * Its clients split at blank lines: uses the `bare` layout unless the client asks for an event
   * stream (lib/sse.ts).
   */
  readonly bare?: boolean;
  /**
   * Its clients parse each network read separately: every write holds whole events and fits one TCP
   * segment.
   */
  readonly segmented?: boolean;
  /** Extra headers of its streams. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Unknown paths under this prefix are refused in its error shape. */
  readonly prefix?: string;
  /** Paths this format serves. Empty: reachable only through `?dialect=`. */
  readonly routes: readonly Route[];
  /** The body of an error before the first byte. Default: the native one of docs/protocol.md §3. */
  failure?(failure: Failure): unknown;
  /** HTTP status, if it differs from the native one. */
  statusOf?(failure: Failure): number;
  /**
   * A turn's failure as an HTTP error. A dialect that has this also uses it instead of a stream
   * when the turn fails before its first content. Default: status 502, and in a stream a frame.
   */
  turnFailure?(error: TurnError): Omit<Failure, "requestId">;
  /** For the API description (app/openapi), which reads everything else from the routes. */
  readonly description?: Description;
}

/** The format's schemas. Tests check its frames and answers against them. */
export type Description = {
  /** One sentence. */
  summary: string;
  /** The JSON in one event's `data`. */
  event: z.ZodType;
  /** Result of `failure`. */
  failure?: z.ZodType;
};

export type Route = TurnRoute | ListRoute | AnswerRoute | EmbeddingRoute;

type Common = {
  /** Without a trailing slash; `:name` matches one segment, `:name*` the rest. */
  readonly path: string;
  /** The parameter that must equal the caller's user id. */
  readonly owner?: string;
  /** The parameter that names the chat. */
  readonly chat?: string;
};

/** POST starts a turn. If it streams, GET follows the chat's live turn, or the cursor's. */
export type TurnRoute = Common & {
  readonly kind: "turn";
  /** Distinguishes the dialect's turn routes in operation names. */
  readonly label?: string;
  readonly body: z.ZodType;
  /** The caller's turn and messages that the body references. `parseRequest` receives those that exist. */
  references?(body: unknown): References;
  /**
   * Maps the request to a turn. Throws AppError `bad_request` for what a schema cannot express, and
   * `not_found` for a missing reference.
   */
  parseRequest(input: RequestInput): ParsedRequest;
  readonly streams: boolean;
  /** The response body for a client that does not stream. */
  fullResponse?(answer: TurnAnswer): unknown;
  /** The response body for a running turn, for clients that do not wait or that poll. */
  runningResponse?(context: TurnContext): unknown;
  /** Result of `fullResponse` and an example body, for the API description. */
  readonly answer?: z.ZodType;
  readonly example?: object;
  /** An unused chat number creates the chat. */
  readonly createsChatByNumber?: boolean;
  /** Serve `Content-Type: text/plain` on request. */
  readonly plainText?: boolean;
  /** Query parameters for regrouping or pacing frames. */
  readonly pacing?: z.ZodType<Pacing>;
};

/** GET lists stored objects. `answer` is the result of `list`, for the API description. */
export type ListRoute = Common & { readonly answer?: z.ZodType } & (
    | { readonly kind: "messages"; list(messages: StoredMessage[]): unknown }
    | { readonly kind: "models"; list(models: ListedModel[]): unknown }
    /** The one that the path's parameter names. */
    | { readonly kind: "model"; readonly parameter: string; show(model: ListedModel): unknown }
  );

/** One turn, by its id in this format. */
export type AnswerRoute = Common & {
  /**
   * `answer`: GET returns it whole, or as a stream with `?stream=true`; DELETE makes it unreadable.
   * `stop`: POST stops it. `input`: GET lists the input it answers.
   */
  readonly kind: "answer" | "stop" | "input";
  /** The parameter that names the turn. */
  readonly turn: string;
  /** Null if not an id of this format. */
  turnIdOf(id: string): string | null;
  /** The matching turn route: GET returns what its POST does, through `runningResponse` and `fullResponse`. */
  readonly bodies: Required<Pick<TurnRoute, "fullResponse" | "runningResponse" | "answer">>;
  /** The response to DELETE. */
  deleted?(id: string): unknown;
  /**
   * A page of the input, from the messages before the answer, oldest first. Throws AppError
   * `bad_request`.
   */
  list?(messages: StoredMessage[], query: unknown): unknown;
  /** For `input`: the query of `list`. */
  readonly query?: z.ZodObject;
  /** Result of `deleted` and `list`, for the API description. */
  readonly shape?: z.ZodType;
};

/** POST embeds texts. */
export type EmbeddingRoute = Common & {
  readonly kind: "embeddings";
  readonly body: z.ZodType;
  /** Throws AppError `too_large` above `maxCharacters`. */
  parseRequest(body: unknown, maxCharacters: number): EmbeddingInput;
  show(embedded: Embedded, body: unknown): unknown;
  readonly answer: z.ZodType;
  readonly example: object;
};

/** `fields` are passed to the provider. */
export type EmbeddingInput = { model?: string | undefined; texts: string[]; fields: NonNullable<TurnCall["fields"]> };
export type Embedded = { model: string; embeddings: number[][]; tokens: number };

export type ListedModel = { id: string; provider: string; ready: boolean };

export type RequestInput = {
  /** Already validated by the route's schema. */
  body: unknown;
  accept: string;
  references: ResolvedReferences;
  /** A new id, for a message that has none. */
  messageId: string;
};

export type References = { turnId?: string; messageIds: string[] };

/** What is asked, and how the client wants the answer. */
export type ParsedRequest = {
  request: TurnInput;
  /** Undefined: the path's chat, else a new one. */
  chat?: ChatReference;
  stream: boolean;
  /** Unless streaming, return `runningResponse` immediately. */
  background?: boolean;
  /** Without an `Idempotency-Key`, the turn stops when the client disconnects. */
  stopsWithClient?: boolean;
};
