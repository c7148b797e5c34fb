// What an event of a provider's stream means for the answer, before any adapter reads it. A reader of each wire shape (chat-events.ts,
// responses-events.ts) turns the events of all the servers that imitate it into one canonical form. Types and what the
// readers share; pure.
import { APICallError, InvalidResponseDataError } from "ai";
import { parseLenientJson } from "./lenient-json";

/** One event of a Server-Sent Events stream, its data lines joined. */
export type ProviderEvent = {
  name: string | undefined;
  data: string;
  /** The stream ended before the event did. */
  cut?: boolean;
};

export type Item =
  /** Text and nothing else. Deltas with equal keys that lie side by side may be joined. */
  | { type: "delta"; key: string; text: string; frame(text: string): string }
  /** A canonical event for the adapter. */
  | { type: "frame"; frame: string }
  /** The answer is whole: what comes after it does not matter. */
  | { type: "end" }
  /** The provider said that it failed. */
  | { type: "failure"; error: Error };

/** Reads one answer; keeps what it must know of the events before. */
export type EventReader = {
  /** Empty for an event that is no part of the answer: a ping, a word, an unknown object. */
  read(event: ProviderEvent): Item[];
  /**
   * The connection ended, or failed. What had been held back; after a clean end without a reason also the canonical mark of an
   * answer that broke off. Throws when what came was no answer at all.
   */
  finish(failed: boolean): Item[];
  /** One JSON body in place of a stream; null when it is no answer. */
  readWhole(body: unknown): Item[] | null;
  /** The server has said why the answer ended. A later fault of the connection does not change that. */
  readonly settled: boolean;
  /** For how long the usage of a settled answer is waited for. */
  readonly graceMs: number;
  /** The model is known to work without saying anything yet. */
  readonly thinking: boolean;
};

/** The finish reason by which a canonical stream says that its answer broke off. */
export const brokenOff = "rivulet_broken_off";

export type JsonObject = Record<string, unknown>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const longestEndMark = 16;
const endMarks = new Set(["[DONE]", "DONE", "[END]"]);

/** Behind an answer that is whole, in any letters, quoted or not. */
export function isEndMark(data: string): boolean {
  return data.length <= longestEndMark && endMarks.has(data.replaceAll('"', "").trim().toUpperCase());
}

/** A ping's word or comment. What is longer, or holds what no word holds, was meant to be something else. */
const maxWordCharacters = 200;
const noWord = /[\p{Cc}\ufffd]/u;

/**
 * The object that an event's data is; null for what is no part of an answer: a word, a comment, an empty line. Throws
 * unreadable for anything else: after a hole the text would be stored as if it were whole.
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

/** For what is no answer in the shape of its API. Nothing of it is quoted. */
export function unreadable(cause?: unknown): Error {
  return new InvalidResponseDataError({
    data: undefined,
    message: "The provider sent something that is no answer.",
    ...(cause !== undefined && { cause }),
  });
}

/** A number, also one that was sent as a string. */
export function numberOf(value: unknown): number | undefined {
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : undefined;
}

/** The words by which servers name a class of failure where they give no status. */
const statusOfWord: [RegExp, number][] = [
  [/rate.?limit|too.?many/i, 429],
  [/insufficient|billing|balance|quota|credit/i, 402],
  [/auth|api.?key|permission/i, 401],
  [/not.?found/i, 404],
  [/invalid|bad.?request|context.?length/i, 400],
];

/** What the provider reported inside a response with status 200, as if it had been the status. */
export function reportedFailure(reported: unknown, url: string): Error {
  const details = isObject(reported) ? reported : { message: reported };
  const names = [details.type, details.code, details.status].filter((word) => typeof word === "string").join(" ");
  // A class is looked for in the sentence only where nothing else names one.
  const sentence = typeof details.message === "string" ? details.message.slice(0, maxKeptBytes) : "";
  const statusIn = (words: string) => statusOfWord.find(([pattern]) => pattern.test(words))?.[1];
  const status = [details.code, details.status, details.status_code]
    .map(numberOf)
    .find((number) => number !== undefined && number >= 400 && number < 600);
  // Whether it may be repeated is known by the status; nothing is repeated behind a text.
  return new APICallError({
    message: "The provider reported a failure inside its answer.",
    url,
    requestBodyValues: undefined,
    statusCode: status ?? statusIn(names) ?? statusIn(sentence) ?? 500,
    responseBody: JSON.stringify(reported)?.slice(0, maxKeptBytes),
  });
}

/** Of a failure's body: enough to see what it is about. */
export const maxKeptBytes = 2_000;
