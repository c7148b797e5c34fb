// What a provider reported with a failure: status, identifiers and text, in whatever shape its
// server uses. Not for clients, who get the messages of failure.ts. Pure.
import { APICallError, RetryError, StreamProviderError } from "ai";
import { isObject } from "./answer-events";

export type ProviderReport = {
  /** HTTP status; for an error inside a stream, its equivalent. */
  status: number | undefined;
  code: string | undefined;
  type: string | undefined;
  param: string | undefined;
  /** All codes and types, including those of an error that a gateway passes on. */
  names: string;
  message: string;
  /** The raw body; truncated if long. */
  body: string;
  /** What the error itself records of the request. */
  sent: unknown;
};

/** A larger body is not parsed: it is a web page, or repeats the prompt. */
const maxParsedCharacters = 65_536;
/** Of the text. What a failure is about stands at its beginning. */
const maxCharacters = 4_000;
/** A gateway's error may nest the list or text with the upstream server's error. */
const maxDepth = 6;
const maxItems = 5;
const maxNames = 20;

/** Null if no provider reported this failure. */
export function providerReport(error: unknown): ProviderReport | null {
  const reported = reportedBy(error);
  if (!reported) return null;
  const { status, body, sent } = reported;
  const found: Found = { codes: [], types: [], params: [], messages: [] };
  collect(body.length > maxParsedCharacters ? body.slice(0, maxCharacters) : body, found, 0);
  const named = (names: string[]) => names.findLast((name) => !/^\d+$/.test(name)) ?? names[0];
  return {
    status,
    code: named(found.codes),
    type: named(found.types),
    param: found.params.at(-1),
    names: [...found.codes, ...found.types].slice(0, maxNames).join(" ").slice(0, maxCharacters),
    message: found.messages.join("\n").slice(0, maxCharacters),
    body: body.slice(0, maxCharacters),
    sent,
  };
}

function reportedBy(error: unknown): { status: number | undefined; body: string; sent: unknown } | null {
  for (let current = error, depth = 0; current instanceof Error && depth < 8; depth++) {
    if (RetryError.isInstance(current)) {
      current = current.lastError;
      continue;
    }
    if (APICallError.isInstance(current)) {
      const { statusCode: status, responseBody, message, requestBodyValues: sent } = current;
      return { status, body: responseBody || message, sent };
    }
    if (StreamProviderError.isInstance(current)) {
      const { statusCode: status, data, type, code, message } = current;
      return { status, body: JSON.stringify(data ?? { type, code, message }) ?? message, sent: undefined };
    }
    current = current.cause;
  }
  return null;
}

type Found = { codes: string[]; types: string[]; params: string[]; messages: string[] };

/** Where servers put the error, its list, or the upstream server's. */
const inner = ["error", "errors", "detail", "details", "response", "metadata", "raw", "innererror"];

function collect(value: unknown, found: Found, depth: number): void {
  if (depth > maxDepth) return;
  if (typeof value === "string") {
    const parsed = parsedObject(value);
    if (parsed === null) found.messages.push(value);
    else collect(parsed, found, depth + 1);
  } else if (Array.isArray(value)) {
    for (const each of value.slice(0, maxItems)) collect(each, found, depth + 1);
  } else if (isObject(value)) {
    push(found.codes, value.code);
    push(found.types, value.type);
    // Google's failure classes.
    push(found.types, value.status);
    push(found.types, value.reason);
    push(found.params, value.param);
    push(found.messages, value.message);
    // A field FastAPI rejected. The input it echoes next to it is ignored.
    push(found.messages, value.msg);
    for (const key of inner) collect(value[key], found, depth + 1);
  }
}

function push(list: string[], value: unknown): void {
  if (typeof value === "string" && value !== "") list.push(value);
  else if (typeof value === "number") list.push(String(value));
}

function parsedObject(text: string): unknown {
  if (!/^\s*[{[]/.test(text)) return null;
  try {
    return JSON.parse(text);
  } catch {
    // Plain text that begins with a bracket.
    return null;
  }
}
