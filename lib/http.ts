// Shared by all routes before the first byte: request ids, errors as JSON (docs/protocol.md §3),
// size-limited bodies parsed with zod, and the same-origin rule for cookies. Never what a route
// does.
import { v4 as uuidv4 } from "uuid";
import type { z } from "zod";
import { storageFull } from "./ceilings";
import { isDatabaseTimeout, isDatabaseUnavailable, isQueueFull, isUnstorableText } from "./database-unavailable";
import { AppError } from "./errors";
import { isTooDeep, maxJsonDepth } from "./json-depth";
import { logger } from "./logger";

type Handler<Params> = (request: Request, params: Params) => Promise<Response>;
type NextContext<Params> = { params: Promise<Params> };

/** Builds an error body; a dialect may have its own. */
export type ErrorBody = (failure: Refusal) => unknown;

type Refusal = {
  status: number;
  code: string;
  message: string;
  requestId: string;
  details?: Record<string, string | number>;
};

const nativeBody: ErrorBody = ({ code, message, requestId, details }) => ({
  error: { code, message, requestId, ...details },
});

/**
 * Wraps a route handler: whatever it throws becomes the response, logged once if it is a bug. HEAD
 * gets the headers only.
 */
export function route<Params = Record<string, never>>(
  handler: Handler<Params>,
  errorBody: ErrorBody = nativeBody,
  statusOf = ({ status }: Refusal) => status,
) {
  return async (request: Request, context: NextContext<Params>): Promise<Response> => {
    try {
      const response = await handler(request, await context.params);
      if (request.method !== "HEAD") return response;
      // Nobody reads the body, so a stream would stay open forever.
      await response.body?.cancel();
      return new Response(null, response);
    } catch (error) {
      const requestId = uuidv4();
      return errorResponse(toAppError(error, request, requestId), requestId, { errorBody, statusOf });
    }
  };
}

type Shape = { errorBody: ErrorBody; statusOf: (refusal: Refusal) => number };

function errorResponse(error: AppError, requestId: string, { errorBody, statusOf }: Shape): Response {
  const headers = new Headers({ "Cache-Control": "no-store", "X-Request-Id": requestId });
  if (error.code === "unauthorized") headers.set("WWW-Authenticate", "Bearer");
  if (error.retryAfter !== undefined) headers.set("Retry-After", String(error.retryAfter));
  if (error.allow !== undefined) headers.set("Allow", error.allow);
  // A retry over the same connection would reach the same server, which may be draining.
  if (error.code === "unavailable") headers.set("Connection", "close");
  const { code, publicMessage: message, details } = error;
  const refusal = { status: error.status, code, message, requestId, details };
  const status = statusOf(refusal);
  return Response.json(errorBody({ ...refusal, status }), { status, headers });
}

const databaseUnavailable = [
  "request refused: the database is unreachable",
  "The database cannot be reached. Nothing was lost; try again in a moment.",
];
const databaseTimeout = [
  "request refused: a statement took too long",
  "The database took too long over this request, so it was cancelled. Nothing was lost; try again in a moment, or ask for less.",
] as const;

function toAppError(error: unknown, request: Request, requestId: string): AppError {
  if (AppError.is(error)) return error;
  const path = new URL(request.url).pathname;
  if (isDatabaseUnavailable(error)) {
    const [reason, sentence] = isDatabaseTimeout(error) ? databaseTimeout : databaseUnavailable;
    logger.warn({ err: error, requestId, path }, reason);
    return new AppError("unavailable", sentence, { cause: error, retryAfter: 2 });
  }
  if (isQueueFull(error))
    return new AppError(
      "rate_limited",
      "Too many of your searches and uploads are running. This one was not started; try again when they have finished.",
      { cause: error, retryAfter: 5 },
    );
  const full = storageFull(error);
  if (full) return full;
  if (isUnstorableText(error))
    return new AppError("bad_request", "The request contains a NUL character.", { cause: error });
  logger.error({ err: error, requestId, method: request.method, path }, "request failed");
  return new AppError("internal", `Something went wrong on the server. Its log lists this request as ${requestId}.`, {
    cause: error,
  });
}

/** Percent-encoded when it holds more than ASCII, or a percent sign: header values are Latin-1. */
export function headerId(id: string): string {
  return /^[\x21-\x24\x26-\x7e]+$/.test(id) ? id : encodeURIComponent(id);
}

/** The ids that every response about a turn carries. */
export function turnHeaders(turn: { id: string; chatId: string }): { "X-Turn-Id": string; "X-Chat-Id": string } {
  return { "X-Turn-Id": turn.id, "X-Chat-Id": headerId(turn.chatId) };
}

/** Leaves room for the history that stock clients send. */
export const maxJsonBytes = 4 * 1_048_576;

/** The body as bytes. Throws too_large once the limit is exceeded, whatever Content-Length says. */
export async function readBytes(request: Request, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const tooLarge = () => new AppError("too_large", `The body is larger than ${maxBytes} bytes.`);
  if (Number(request.headers.get("content-length")) > maxBytes) throw tooLarge();
  const pieces: Uint8Array[] = [];
  let length = 0;
  const reader = request.body?.getReader();
  while (reader) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.byteLength;
    if (length > maxBytes) {
      await reader.cancel();
      throw tooLarge();
    }
    pieces.push(value);
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const piece of pieces) {
    bytes.set(piece, offset);
    offset += piece.byteLength;
  }
  return bytes;
}

/**
 * The JSON body parsed by its schema. Throws bad_request naming the field or the depth, or
 * too_large.
 */
export async function readJson<T extends z.ZodType>(
  request: Request,
  schema: T,
  maxBytes = maxJsonBytes,
): Promise<z.output<T>> {
  const bytes = await readBytes(request, maxBytes);
  // No body counts as an empty object: the schema then names the missing field.
  const body = bytes.byteLength === 0 ? {} : parseJson(bytes);
  return parseInput(schema, body);
}

function parseJson(bytes: Uint8Array): unknown {
  let json: string;
  try {
    json = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    if (!isTooDeep(json)) return JSON.parse(json);
  } catch (cause) {
    throw new AppError("bad_request", "The body is not valid JSON.", { cause });
  }
  throw new AppError(
    "bad_request",
    `The body is nested deeper than ${maxJsonDepth} levels. Nothing was changed; nest it less deeply.`,
  );
}

/** Parses input by its schema. Throws bad_request naming the first invalid field. */
export function parseInput<T extends z.ZodType>(schema: T, input: unknown): z.output<T> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  if (issue?.code === "unrecognized_keys") {
    const field = [...issue.path, String(issue.keys[0]).slice(0, 100)].join(".");
    throw new AppError("bad_request", `${field}: is not a known field. Leave it out.`);
  }
  const field = issue?.path.join(".") || "body";
  throw new AppError("bad_request", `${field}: ${issue?.message ?? "is not valid"}`);
}

/**
 * The query string parsed by its schema; the last of repeated values wins. Throws like parseInput.
 */
export function parseQuery<T extends z.ZodType>(request: Request, schema: T): z.output<T> {
  return parseInput(schema, Object.fromEntries(new URL(request.url).searchParams));
}

/**
 * Our forms have one file; clients may add a few fields. Each part costs the parser an object and
 * several searches.
 */
const maxFormParts = 20;

/** The multipart body. Throws bad_request if it is none or has too many parts, or too_large. */
export async function readForm(request: Request, maxBytes: number): Promise<FormData> {
  const type = request.headers.get("content-type") ?? "";
  const [, quoted, bare] =
    /^multipart\/form-data\s*;.{0,200}?boundary=(?:"([^"]{1,70})"|([^;\s"]{1,70}))/i.exec(type) ?? [];
  const boundary = quoted ?? bare;
  if (!boundary) throw new AppError("bad_request", "The body must be multipart/form-data with a boundary.");
  const bytes = await readBytes(request, maxBytes);
  const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const delimiter = `--${boundary}`;
  // The closing delimiter is one more.
  for (let parts = 0, at = body.indexOf(delimiter); at >= 0; at = body.indexOf(delimiter, at + delimiter.length))
    if (++parts > maxFormParts + 1)
      throw new AppError(
        "bad_request",
        `The form has more than ${maxFormParts} parts. Nothing was stored; send the file alone, in the field \`file\`.`,
      );
  try {
    return await new Response(bytes, { headers: { "Content-Type": type } }).formData();
  } catch (cause) {
    throw new AppError("bad_request", "The body is not valid multipart/form-data.", { cause });
  }
}

/**
 * For changing requests with the session cookie: same origin, by the browser's headers or by a body
 * that a plain form cannot send. Non-browser clients send neither header and cannot be tricked.
 */
export function requireSameOrigin(request: Request): void {
  if (request.method === "GET" || request.method === "HEAD") return;
  if (isCrossOrigin(request))
    throw new AppError("forbidden", "This request comes from another site, so the session cookie is not accepted.");
  // The browser itself vouches for the page: another site's form cannot send this header.
  if (request.headers.get("sec-fetch-site") === "same-origin") return;
  const type = mediaType(request);
  if (type && type !== "application/json" && type !== "multipart/form-data") {
    throw new AppError("forbidden", "With the session cookie only JSON and multipart bodies are accepted.");
  }
}

/**
 * For changing requests without credentials, such as sign-up: no other site's page may send them,
 * by a form or otherwise. A tricked browser cannot send a bearer token, so with one any body is
 * accepted.
 */
export function requireOwnPageOrProgram(request: Request): void {
  if (request.headers.has("authorization")) return;
  if (isCrossOrigin(request))
    throw new AppError("forbidden", "This request comes from another site. Only this server's own pages may send it.");
  if (mediaType(request) !== "application/json")
    throw new AppError("forbidden", "Send a JSON body, with `Content-Type: application/json`.");
}

/** True if a browser sent it for another origin's page. Non-browser clients send neither header. */
export function isCrossOrigin({ headers }: Request): boolean {
  const site = headers.get("sec-fetch-site");
  if (site && site !== "same-origin" && site !== "none") return true;
  const origin = headers.get("origin");
  if (!origin) return false;
  return !URL.canParse(origin) || new URL(origin).host !== (headers.get("x-forwarded-host") ?? headers.get("host"));
}

function mediaType(request: Request): string | undefined {
  return request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
}
