// What an event of a provider's stream means for the answer, before any adapter reads it. One
// reader per API (chat-reader.ts, responses-reader.ts) converts the events of all imitating servers
// into one canonical form. Types and shared helpers; pure.
import { APICallError, InvalidResponseDataError } from "ai";
import { parseLenientJson } from "./lenient-json";

/** One Server-Sent Event, its data lines joined. */
export type ProviderEvent = {
  name: string | undefined;
  data: string;
  /** The stream ended mid-event. */
  cut?: boolean;
};

export type Item =
  /** Text only. Adjacent deltas with equal keys may be joined. */
  | { type: "delta"; key: string; text: string; frame(text: string): string }
  /** A canonical event for the adapter. */
  | { type: "frame"; frame: string }
  /** The answer is complete: later input is ignored. */
  | { type: "end" }
  /** The provider reported a failure. */
  | { type: "failure"; error: Error };

/** Reads one answer; keeps state between events. */
export type EventReader = {
  /** Empty for an event that is not part of the answer: a ping, a word, an unknown object. */
  read(event: ProviderEvent): Item[];
  /**
   * Call when the connection ends or fails. Returns what was held back and, after a clean end
   * without a finish reason, the canonical mark of a truncated answer. Throws if the input was no
   * answer at all.
   */
  finish(failed: boolean): Item[];
  /** One JSON body instead of a stream; null if it is no answer. */
  readJson(body: unknown): Item[] | null;
  /** The server has given a finish reason. Later connection faults do not change that. */
  readonly settled: boolean;
  /** How long to wait for the usage of a settled answer. */
  readonly graceMs: number;
  /** The model is known to be working without output yet. */
  readonly thinking: boolean;
};

/** Canonical finish reason of a truncated answer. */
export const truncatedReason = "rivulet_broken_off";

export type JsonObject = Record<string, unknown>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const maxEndMarkLength = 16;
const endMarks = new Set(["[DONE]", "DONE", "[END]"]);

/** The end mark after a complete answer, in any case, quoted or not. */
export function isEndMark(data: string): boolean {
  return data.length <= maxEndMarkLength && endMarks.has(data.replaceAll('"', "").trim().toUpperCase());
}

/**
 * For a ping's word or comment. Anything longer, or with non-word characters, was meant as
 * something else.
 */
const maxWordCharacters = 200;
const noWord = /[\p{Cc}\ufffd]/u;

/**
 * Parses an event's data as an object; null if it is no part of an answer: a word, a comment, an
 * empty line. Throws unreadable otherwise: text after a gap would be stored as if it were complete.
 */
export function objectOf(data: string): JsonObject | null {
  const text = data.trim();
  if (!/^[{[]/.test(text)) {
    if (text.length > maxWordCharacters || noWord.test(text)) throw unreadable();
    return null;
  }
  try {
    const parsed = parseLenientJson(text);
    const value: unknown = Array.isArray(parsed) ? parsed[0] : parsed;
    return isObject(value) ? value : null;
  } catch (cause) {
    throw unreadable(cause);
  }
}

/** For data that is no answer in its API's format. Quotes nothing of it. */
export function unreadable(cause?: unknown): Error {
  return new InvalidResponseDataError({
    data: undefined,
    message: "The provider sent something that is not an answer.",
    ...(cause !== undefined && { cause }),
  });
}

/** Accepts a number or a numeric string. */
export function numberOf(value: unknown): number | undefined {
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : undefined;
}

/** Failure classes by the words servers use when they give no status. */
const statusOfWord: [RegExp, number][] = [
  [/rate.?limit|too.?many/i, 429],
  [/insufficient|billing|balance|quota|credit/i, 402],
  [/auth|api.?key|permission/i, 401],
  [/not.?found/i, 404],
  [/invalid|bad.?request|context.?length/i, 400],
];

/** A failure reported inside a 200 response, converted to the equivalent status. */
export function reportedFailure(reported: unknown, url: string): Error {
  const details = isObject(reported) ? reported : { message: reported };
  const names = [details.type, details.code, details.status].filter((word) => typeof word === "string").join(" ");
  // Search the message only if no other field names a class.
  const sentence = typeof details.message === "string" ? details.message.slice(0, maxReportedBytes) : "";
  const statusIn = (words: string) => statusOfWord.find(([pattern]) => pattern.test(words))?.[1];
  const status = [details.code, details.status, details.status_code]
    .map(numberOf)
    .find((number) => number !== undefined && number >= 400 && number < 600);
  // The status decides whether to retry; nothing is retried once text has arrived.
  return new APICallError({
    message: "The provider reported a failure inside its answer.",
    url,
    requestBodyValues: undefined,
    statusCode: status ?? statusIn(names) ?? statusIn(sentence) ?? 500,
    responseBody: JSON.stringify(reported)?.slice(0, maxReportedBytes),
  });
}

/** Kept from a failure's body: enough to diagnose it. */
export const maxReportedBytes = 2_000;
