// Shared by all operations: refusals before the first byte (docs/protocol.md §3), and stream
// responses (§2).
import { z } from "zod";
import type { ZodOpenApiMediaTypeObject, ZodOpenApiResponsesObject } from "zod-openapi";
import type { Dialect, Route } from "@/lib/dialects/dialect";
import { errorBody } from "./answers";
import { transcripts } from "./example-turn";

const meanings = {
  400: "`bad_request`: the body is not JSON, a field is wrong (the message names it), or an id is malformed.",
  401: "`unauthorized`: no valid credentials.",
  403: "`forbidden`: a request from another site with the session cookie, or not for this caller.",
  404: "`not_found`: unknown, or somebody else's; the two look the same.",
  409: "`turn_running`: the chat is still answering. Or `conflict`: it exists already.",
  413: "`too_large`: the body is over its limit. `storage_full`: the user's storage is full.",
  422: "`key_reused`: the key of this send belongs to another request. Send again with a new key.",
  429: "`rate_limited`: too many requests. `limit_reached`: a ceiling of the user. `budget_exhausted`: no tokens left today.",
  502: "The turn failed: an error of §4 of the protocol. What had arrived of the answer is stored.",
  504: "The turn failed: the provider was silent for too long, or the answer took too long.",
  503: "`unavailable`: the database is unreachable, the model is not ready, or the server is restarting. Nothing was changed.",
} as const;
export type Refused = keyof typeof meanings;

const headers = { "X-Request-Id": z.string().describe("Identifies the request in the server's log.") };
const retryAfter = z.string().describe("Seconds to wait.");
const bearer = { "WWW-Authenticate": z.literal("Bearer") };

/** Error responses by status. 429 and 503 are always included. */
export function refusals(statuses: Refused[], body: z.ZodType = errorBody): ZodOpenApiResponsesObject {
  return Object.fromEntries(
    [...statuses, 429 as const, 503 as const].map((status) => [
      String(status),
      {
        description: meanings[status],
        // A failed turn is not a refusal: it carries the headers of an answer.
        headers:
          status === 502 || status === 504
            ? turnHeadersSchema
            : z.object({
                ...headers,
                ...(status === 429 && { "Retry-After": retryAfter }),
                ...(status === 503 && { "Retry-After": retryAfter.optional() }),
                ...(status === 401 && bearer),
              }),
        content: { "application/json": { schema: body } },
      },
    ]),
  );
}

export const turnHeadersSchema = z.object({
  "X-Turn-Id": z.uuid().describe("The turn; `GET /api/turns/{turnId}` returns its state."),
  "X-Chat-Id": z.string().describe("The chat it belongs to."),
  "X-Turn-Age-Ms": z.string().regex(/^\d+$/).optional().describe("Milliseconds since a running turn started."),
});

export const idempotencyHeader = z.object({
  "Idempotency-Key": z
    .string()
    .regex(/^[\x21-\x7e]{1,200}$/)
    .optional()
    .describe("Repeating a request with the same key returns the same turn, on any server."),
});

export const lastEventHeader = z.object({
  "Last-Event-ID": z
    .string()
    .optional()
    .describe("`id` of the last event received: the stream resumes after it, byte-identical."),
});

export const afterQuery = z.object({
  after: z.string().optional().describe("The same as `Last-Event-ID`, for clients that cannot set headers."),
});

export function eventName(dialect: Dialect): string {
  return `${dialect.name.replace(/(?:^|-)(\w)/g, (_, letter: string) => letter.toUpperCase())}Event`;
}

/** Server-Sent Events in a dialect; `examples` adds transcripts from its encoder. */
export function eventStreamContent(dialect: Dialect, { examples = false } = {}): ZodOpenApiMediaTypeObject {
  // OpenAPI 3.1 cannot attach a schema to a single event.
  const schema = `#/components/schemas/${eventName(dialect)}`;
  return {
    schema: z.string().describe(`Server-Sent Events. The \`data\` of each is JSON, except a closing \`[DONE]\`.`),
    ...(examples && { examples: transcripts(dialect) }),
    ...(dialect.description && { "x-event-data": { $ref: schema } }),
  };
}

export const nothingLeft = "The turn has ended and nothing is left for this reader, or the chat has no live turn.";

export function parameters({ path, owner, chat, ...route }: Route) {
  const names = Array.from(path.matchAll(/:(\w+)/g), ([, name]) => name as string);
  if (names.length === 0) return {};
  const meaning = (name: string) => {
    if (name === owner) return "The caller's own id, as returned by `POST /api/tokens`.";
    if ("turn" in route && name === route.turn) return "The answer, by the `id` that this format gave it.";
    if (name === "model") return "A model's id, slashes and all.";
    return name === chat ? "A chat: its id, or the user's own small number for it." : "";
  };
  return { path: z.object(Object.fromEntries(names.map((name) => [name, z.string().describe(meaning(name))]))) };
}

export function operationId({ name }: Dialect, verb: string): string {
  return name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase()) + verb;
}
