// A chat client for every wire format of the server (docs/protocol.md §6): ask, receive the answer
// as events, stop it. Runs in browsers and Node, without React or Next. Built on follower.ts; the
// formats are in dialects.ts.
import { v4 as uuidv4 } from "uuid";
import { Answer, type AnswerOptions } from "./answer.ts";
import { type PageEvents, pageWake } from "./backoff.ts";
import type { TextBuffer } from "./buffer-text.ts";
import type { Question } from "./client-dialect.ts";
import { Connection } from "./connection.ts";
import { clientDialects, type DialectName } from "./dialects.ts";
import { failuresBeforePolling, type LimitOptions, pollMs, streamLimits } from "./limits.ts";
import type { Http } from "./request.ts";

export type ChatClientOptions = PageEvents &
  LimitOptions & {
    /** Without a trailing slash. Default: the page's own origin. */
    baseUrl?: string;
    /** A personal access token. Default: the session cookie of the page's own origin. */
    token?: string;
    dialect: DialectName;
    /** The caller's own id. Needed only by `agent`, for its paths. */
    userId?: string;
    /** Maximum time for an answer; after that it is abandoned and continues on the server. */
    timeoutMs?: number;
    /** Consecutive attempts that receive nothing before giving up as `unreachable`. */
    attempts?: number;
    /** Consecutive streams that bring nothing before falling back to the whole answer or polling. */
    failuresBeforeFallback?: number;
    /** Joins small pieces of text. Default: pass them as they arrive. */
    buffer?: TextBuffer;
    pollMs?: number;
  };

export type SendOptions = {
  /** Aborting abandons the answer; use `Answer.stop` to end it. */
  signal?: AbortSignal;
  /**
   * Idempotency key: a question resent with the same key is not asked again, and its answer is
   * replayed from the start.
   */
  key?: string;
};

export type ChatClient = {
  /** Connection state of the newest answer, for display. */
  readonly connection: Connection;
  /** Nothing is sent until the answer is iterated. Throws for a question the format cannot ask. */
  send(question: Question | string, options?: SendOptions): Answer;
};

export function createChatClient(options: ChatClientOptions): ChatClient {
  const { baseUrl = "", token, dialect, userId = "" } = options;
  if (dialect === "agent" && !userId) throw new Error("The dialect `agent` needs the caller's `userId` for its paths.");
  const connection = new Connection();
  const http: Http = { baseUrl, headers: () => ({ ...(token && { Authorization: `Bearer ${token}` }) }) };
  const shared: Omit<AnswerOptions, "question" | "signal" | "report"> = {
    http,
    name: dialect,
    dialect: clientDialects[dialect],
    wake: pageWake(options),
    // The server closes a request after five minutes.
    timeoutMs: options.timeoutMs ?? 300_000,
    buffer: options.buffer,
    limits: {
      ...streamLimits(options),
      // With the default backoff about 30 s on average: longer than a server restart.
      openAttempts: options.attempts ?? 10,
      attempts: options.attempts ?? 10,
      failuresBeforePolling: options.failuresBeforeFallback ?? failuresBeforePolling,
      pollMs: options.pollMs ?? pollMs,
    },
  };
  return {
    connection,
    send(question, { signal, key = uuidv4() } = {}) {
      const fields = typeof question === "string" ? { text: question } : question;
      return new Answer({ ...shared, question: { ...fields, key, userId }, signal, report: connection.hold() });
    },
  };
}
