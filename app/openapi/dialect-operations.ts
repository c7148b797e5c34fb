// The operations of every dialect, read from the registry: a new dialect is described by being in it.
import { z } from "zod";
import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject } from "zod-openapi";
import type { Dialect, ListRoute, Route, TurnRoute } from "@/lib/dialects/contract";
import { wholeAnswer } from "./example-turn";
import {
  afterQuery,
  eventStreamContent,
  idempotencyHeader,
  lastEventHeader,
  nothingLeft,
  type Refused,
  refusals,
  turnHeaders,
} from "./refusals";

export async function dialectPaths(dialects: readonly Dialect[]): Promise<ZodOpenApiPathsObject> {
  const paths: ZodOpenApiPathsObject = {};
  for (const dialect of dialects)
    for (const route of dialect.routes)
      paths[route.path.replace(/:(\w+)/g, "{$1}")] =
        route.kind === "turn"
          ? {
              post: await send(dialect, route),
              ...(route.streams && { get: follow(dialect, route) }),
            }
          : { get: list(dialect, route) };
  return paths;
}

async function send(dialect: Dialect, route: TurnRoute): Promise<ZodOpenApiOperationObject> {
  const refused: Refused[] = [400, 401, 403, 404, 409, 413, 422];
  const whole = route.whole && {
    "application/json": {
      schema: route.answer ?? z.unknown(),
      examples: { answer: { summary: "The same answer whole", value: route.whole(await wholeAnswer()) } },
    },
  };
  return {
    operationId: operationId(dialect, route.streams ? "Stream" : "Answer"),
    tags: [dialect.name],
    summary: route.streams ? "Ask, and follow the answer" : "Ask, and get the answer whole",
    description: [
      dialect.describes?.summary,
      route.streams && whole && "Streamed or whole, as the body's `stream` says.",
      route.streams && "With `Last-Event-ID` it starts nothing and follows, as `GET` does.",
      route.makesNumbers && "A number that is not in use makes the chat with that number.",
    ]
      .filter(Boolean)
      .join(" "),
    requestParams: {
      ...parameters(route),
      header: route.streams ? idempotencyHeader.extend(lastEventHeader.shape) : idempotencyHeader,
      ...(route.pacing && { query: queryOf(route) }),
    },
    requestBody: {
      required: true,
      content: {
        "application/json": {
          schema: route.body,
          ...(route.example && { examples: { question: { value: route.example } } }),
        },
      },
    },
    responses: {
      "200": {
        description: "The answer.",
        headers: turnHeaders,
        content: { ...(route.streams && streams(dialect, route, true)), ...whole },
      },
      ...(route.streams && { "204": { description: nothingLeft } }),
      ...refusals(whole ? [...refused, 502] : refused, dialect.describes?.failure),
    },
  };
}

function follow(dialect: Dialect, route: TurnRoute): ZodOpenApiOperationObject {
  return {
    operationId: operationId(dialect, "Follow"),
    tags: [dialect.name],
    summary: "Follow an answer",
    description: route.chat
      ? "The chat's live turn from its start, or what comes behind the cursor."
      : "What comes behind the cursor, which names the turn.",
    requestParams: {
      ...parameters(route),
      header: lastEventHeader,
      query: route.pacing ? queryOf(route).extend(afterQuery.shape) : afterQuery,
    },
    responses: {
      "200": { description: "The stream.", headers: turnHeaders, content: streams(dialect, route) },
      "204": { description: nothingLeft },
      ...refusals([400, 401, ...(route.owner ? [403 as const] : []), 404], dialect.describes?.failure),
    },
  };
}

function list(dialect: Dialect, route: ListRoute): ZodOpenApiOperationObject {
  const statuses: Refused[] = route.chat ? [400, 401, 404] : [401];
  return {
    operationId: operationId(dialect, route.kind === "messages" ? "ListMessages" : "ListModels"),
    tags: [dialect.name],
    summary: route.kind === "messages" ? "The messages of a chat, oldest first" : "The models that can be asked",
    requestParams: parameters(route),
    responses: {
      "200": { description: "The list.", content: { "application/json": { schema: route.answer ?? z.unknown() } } },
      ...refusals(statuses, dialect.describes?.failure),
    },
  };
}

function streams(dialect: Dialect, { plainText }: TurnRoute, examples = false) {
  return {
    "text/event-stream": eventStreamContent(dialect, { examples }),
    ...(plainText && { "text/plain": eventStreamContent(dialect) }),
  };
}

function parameters({ path, owner, chat }: Route) {
  const names = Array.from(path.matchAll(/:(\w+)/g), ([, name]) => name as string);
  if (names.length === 0) return {};
  const meaning = (name: string) => {
    if (name === owner) return "The caller's own id, which `POST /api/tokens` tells.";
    return name === chat ? "A chat: its id, or the user's own small number for it." : "";
  };
  return { path: z.object(Object.fromEntries(names.map((name) => [name, z.string().describe(meaning(name))]))) };
}

/** What the query is before it is made into `Pacing`. */
function queryOf({ pacing }: TurnRoute): z.ZodObject {
  const schema = pacing instanceof z.ZodPipe ? pacing.in : pacing;
  if (schema instanceof z.ZodObject) return schema;
  throw new Error("the query of a reader is an object");
}

function operationId({ name }: Dialect, verb: string): string {
  return name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase()) + verb;
}
