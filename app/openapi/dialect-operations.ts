// The operations of every dialect, generated from the registry; a new dialect needs no entry here.
import { z } from "zod";
import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject } from "zod-openapi";
import type { Dialect, EmbeddingRoute, ListRoute, Route, TurnRoute } from "@/lib/dialects/dialect";
import { answerOperations } from "./answer-operations";
import { wholeAnswer } from "./example-turn";
import {
  afterQuery,
  eventStreamContent,
  idempotencyHeader,
  lastEventHeader,
  nothingLeft,
  operationId,
  parameters,
  type Refused,
  refusals,
  turnHeadersSchema,
} from "./shared-responses";

export async function dialectPaths(dialects: readonly Dialect[]): Promise<ZodOpenApiPathsObject> {
  const paths: ZodOpenApiPathsObject = {};
  for (const dialect of dialects)
    for (const route of dialect.routes)
      paths[route.path.replace(/:(\w+)\*?/g, "{$1}")] = await operationsOf(dialect, route);
  return paths;
}

async function operationsOf(dialect: Dialect, route: Route): Promise<ZodOpenApiPathsObject[string]> {
  switch (route.kind) {
    case "turn":
      return { post: await send(dialect, route), ...(route.streams && { get: follow(dialect, route) }) };
    case "messages":
    case "models":
    case "model":
      return { get: list(dialect, route) };
    case "embeddings":
      return { post: embed(dialect, route) };
    default:
      return answerOperations(dialect, route);
  }
}

async function send(dialect: Dialect, route: TurnRoute): Promise<ZodOpenApiOperationObject> {
  const refused: Refused[] = [400, 401, 403, 404, 409, 413, 422];
  const failed: Refused[] = dialect.turnFailure ? [502, 504] : route.fullResponse ? [502] : [];
  const whole = route.fullResponse && {
    "application/json": {
      schema: route.answer ?? z.unknown(),
      examples: { answer: { summary: "The same answer, complete", value: route.fullResponse(await wholeAnswer()) } },
    },
  };
  return {
    operationId: operationId(dialect, `${route.streams ? "Stream" : "Answer"}${route.label ?? ""}`),
    tags: [dialect.name],
    summary: route.streams ? "Ask, and follow the answer" : "Ask, and get the complete answer",
    description: [
      dialect.description?.summary,
      route.streams && whole && "Streamed or complete, depending on `stream` in the body.",
      route.streams && "With `Last-Event-ID` it starts nothing and follows, as `GET` does.",
      route.createsChatByNumber && "An unused number creates the chat with that number.",
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
        headers: turnHeadersSchema,
        content: { ...(route.streams && streams(dialect, route, !route.label)), ...whole },
      },
      ...(route.streams && { "204": { description: nothingLeft } }),
      ...refusals([...refused, ...failed], dialect.description?.failure),
    },
  };
}

function follow(dialect: Dialect, route: TurnRoute): ZodOpenApiOperationObject {
  return {
    operationId: operationId(dialect, `Follow${route.label ?? ""}`),
    tags: [dialect.name],
    summary: "Follow an answer",
    description: route.chat
      ? "The chat's live turn from its start, or what follows the cursor."
      : "What follows the cursor, which names the turn.",
    requestParams: {
      ...parameters(route),
      header: lastEventHeader,
      query: route.pacing ? queryOf(route).extend(afterQuery.shape) : afterQuery,
    },
    responses: {
      "200": { description: "The stream.", headers: turnHeadersSchema, content: streams(dialect, route) },
      "204": { description: nothingLeft },
      ...refusals([400, 401, ...(route.owner ? [403 as const] : []), 404], dialect.description?.failure),
    },
  };
}

function embed(dialect: Dialect, { body, answer, example }: EmbeddingRoute): ZodOpenApiOperationObject {
  return {
    operationId: operationId(dialect, "Embed"),
    tags: [dialect.name],
    summary: "Embed texts with a model from EMBEDDING_MODELS",
    requestBody: {
      required: true,
      content: { "application/json": { schema: body, examples: { text: { value: example } } } },
    },
    responses: {
      "200": { description: "The vectors.", content: { "application/json": { schema: answer } } },
      ...refusals([400, 401, 403, 404, 413], dialect.description?.failure),
    },
  };
}

const listings = {
  messages: ["ListMessages", "The messages of a chat, oldest first"],
  models: ["ListModels", "The available models"],
  model: ["FindModel", "One of them, by its id or the part after the first colon"],
} as const;

function list(dialect: Dialect, route: ListRoute): ZodOpenApiOperationObject {
  const statuses: Refused[] = route.chat ? [400, 401, 404] : route.kind === "model" ? [401, 404] : [401];
  const [verb, summary] = listings[route.kind];
  return {
    operationId: operationId(dialect, verb),
    tags: [dialect.name],
    summary,
    requestParams: parameters(route),
    responses: {
      "200": {
        description: route.kind === "model" ? "The model." : "The list.",
        content: { "application/json": { schema: route.answer ?? z.unknown() } },
      },
      ...refusals(statuses, dialect.description?.failure),
    },
  };
}

function streams(dialect: Dialect, { plainText }: TurnRoute, examples = false) {
  return {
    "text/event-stream": eventStreamContent(dialect, { examples }),
    ...(plainText && { "text/plain": eventStreamContent(dialect) }),
  };
}

/** The query schema before its transform to `Pacing`. */
function queryOf({ pacing }: TurnRoute): z.ZodObject {
  const schema = pacing instanceof z.ZodPipe ? pacing.in : pacing;
  if (schema instanceof z.ZodObject) return schema;
  throw new Error("the query of a reader is an object");
}
