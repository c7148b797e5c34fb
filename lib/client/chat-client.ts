// A chat client for every wire format of the server (docs/protocol.md §6): ask, hear the answer as events, stop it. It
// runs in browsers and in Node, without React and without Next. The machinery is follow.ts; the formats are dialects.ts.
import { v4 as uuidv4 } from "uuid";
import { Answer, type AnswerOptions } from "./answer";
import type { Backoff, PageEvents } from "./backoff";
import { pageWake } from "./backoff";
import type { TextBuffer } from "./buffer-text";
import type { Question } from "./client-dialect";
import { Connection } from "./connection";
import { clientDialects, type DialectName } from "./dialects";
import type { Http } from "./request";

export type ChatClientOptions = PageEvents & {
  /** Without a trailing slash; absent: the page's own origin. */
  baseUrl?: string;
  /** A personal access token. Absent: the session cookie of the page's own origin. */
  token?: string;
  dialect: DialectName;
  /** The caller's own id. Only `agent` needs it, for its paths. */
  userId?: string;
  /** Longer than this no answer may take; then it is left alone, and goes on at the server. */
  timeoutMs?: number;
  /** Attempts in a row that get no word of the answer, before it is given up as `unreachable`. */
  attempts?: number;
  /** Streams in a row that bring nothing, before the answer is asked for in one piece or polled. */
  failuresBeforeFallback?: number;
  /** Joins small pieces of text before they are handed out. Absent: as they come. */
  buffer?: TextBuffer;
  /** The server's HEARTBEAT_MS. */
  heartbeatMs?: number;
  backoff?: Backoff;
  pollMs?: number;
};

export type SendOptions = {
  /** Aborting leaves the answer alone; `Answer.stop` is what ends it. */
  signal?: AbortSignal;
  /** Names the question: sent again with the same key it is not asked again, and its answer is heard from the start. */
  key?: string;
};

export type ChatClient = {
  /** The state of the youngest answer's connection, for a page to show. */
  readonly connection: Connection;
  /** Nothing is sent before the answer is iterated. Throws for a question that the format cannot ask. */
  send(question: Question | string, options?: SendOptions): Answer;
};

export function createChatClient(options: ChatClientOptions): ChatClient {
  const { baseUrl = "", token, dialect, userId = "", heartbeatMs = 15_000 } = options;
  if (dialect === "agent" && !userId) throw new Error("The dialect `agent` needs the caller's `userId` for its paths.");
  const connection = new Connection();
  const http: Http = { baseUrl, headers: () => ({ ...(token && { Authorization: `Bearer ${token}` }) }) };
  const shared: Omit<AnswerOptions, "asked" | "signal" | "report"> = {
    http,
    name: dialect,
    dialect: clientDialects[dialect],
    wake: pageWake(options),
    // The server lets go of a request after five minutes.
    timeoutMs: options.timeoutMs ?? 300_000,
    buffer: options.buffer,
    patience: {
      firstByteMs: heartbeatMs,
      // Two heartbeats may be lost or late before a connection counts as dead.
      silenceMs: 2.5 * heartbeatMs,
      backoff: options.backoff ?? { minMs: 250, maxMs: 10_000 },
      // With the default backoff about 30 s on average: longer than a restart of the server.
      openAttempts: options.attempts ?? 10,
      attempts: options.attempts ?? 10,
      failuresBeforePolling: options.failuresBeforeFallback ?? 4,
      pollMs: options.pollMs ?? 3_000,
    },
  };
  return {
    connection,
    send(question, { signal, key = uuidv4() } = {}) {
      const fields = typeof question === "string" ? { text: question } : question;
      return new Answer({ ...shared, asked: { ...fields, key, userId }, signal, report: connection.hold() });
    },
  };
}
