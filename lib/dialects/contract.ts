// The contract of a wire format. Outbound: a pure function from the chunks of a turn to frames. Inbound: the routes it
// answers, as data, each with a pure function from a request to a turn. No I/O, no clock, no storage: the same chunks and
// context always give the same frames, so any dialect can follow any turn, live or later (docs/protocol.md §6).
import type { z } from "zod";
import type { LoggedChunk, SearchMode } from "@/lib/turn/chunks";
import type { Knows, StoredMessage, TurnAnswer, TurnContext, TurnPrompt, TurnView } from "@/lib/turn/turn-context";
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
export type Pacing = { chunkWords?: number; delayMs?: number };

/** Why a request gets no answer; `code` is one of docs/protocol.md §3, or a turn's own (§4) with status 502. */
export type Failure = {
  status: number;
  code: string;
  message: string;
  requestId: string;
  details?: Record<string, string | number>;
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
  /** Headers of its streams besides those of every stream. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The paths this format answers. Empty: it is reached by `?dialect=` alone. */
  readonly routes: readonly Route[];
  /** The body of an error before the first byte. Default: the native one of docs/protocol.md §3. */
  failure?(failure: Failure): unknown;
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

export type Route = TurnRoute | ListRoute;

type Common = {
  /** Without a trailing slash; `:name` stands for one segment. */
  readonly path: string;
  /** The parameter that must be the caller's own id. */
  readonly owner?: string;
  /** The parameter that names the chat. */
  readonly chat?: string;
};

/** POST starts a turn. Where it can be streamed, GET follows: the chat's live turn, or the cursor's. */
export type TurnRoute = Common & {
  readonly kind: "turn";
  readonly body: z.ZodType;
  /** From what the client said to what is to be done. Throws AppError `bad_request` for what a schema cannot say. */
  ask(input: AskInput): Ask;
  readonly streams: boolean;
  /** The body of the answer for a client that wants it whole. */
  whole?(answer: TurnAnswer): unknown;
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
  );

export type ListedModel = { id: string; provider: string; ready: boolean };

/** `body` has been through the route's schema. */
export type AskInput = { body: unknown; accept: string };

export type Ask = {
  /** Undefined: the chat of the path, else a new one. */
  chat?: ChatReference;
  /** A text is a new message in that chat; a prompt brings its own history and gets a chat of its own. */
  say: string | TurnPrompt;
  /** A prompt's chat is to be found in the user's list of chats. */
  listed?: boolean;
  stream: boolean;
  model?: string;
  searchMode?: SearchMode;
  documentIds?: string[];
  /** Kept with the user message. */
  metadata?: unknown;
  view?: TurnView;
};
