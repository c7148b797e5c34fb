// Operations on one answer by its dialect's id.
import { z } from "zod";
import type { ZodOpenApiContentObject, ZodOpenApiOperationObject } from "zod-openapi";
import { answerQuery } from "@/app/answer-handler";
import type { AnswerRoute, Dialect } from "@/lib/dialects/dialect";
import {
  afterQuery,
  eventStreamContent,
  lastEventHeader,
  operationId,
  parameters,
  type Refused,
  refusals,
  turnHeadersSchema,
} from "./shared-responses";

export function answerOperations(dialect: Dialect, route: AnswerRoute) {
  const answer = { "application/json": { schema: route.bodies.answer } };
  const shape = { "application/json": { schema: route.shape ?? z.unknown() } };
  const operation = (
    verb: string,
    summary: string,
    content: ZodOpenApiContentObject,
    extra: Omit<ZodOpenApiOperationObject, "responses"> = {},
    refused: Refused[] = [401, 404],
  ): ZodOpenApiOperationObject => ({
    operationId: operationId(dialect, verb),
    tags: [dialect.name],
    summary,
    requestParams: parameters(route),
    ...extra,
    responses: {
      "200": { description: "Done.", content, ...(content === answer && { headers: turnHeadersSchema }) },
      ...refusals(refused, dialect.description?.failure),
    },
  });
  if (route.kind === "stop") return { post: operation("Stop", "Stop an answer, and get what it has so far", answer) };
  if (route.kind === "input") {
    const requestParams = { ...parameters(route), query: route.query };
    return { get: operation("ListInput", "The input of an answer", shape, { requestParams }, [400, 401, 404]) };
  }
  const query = answerQuery.extend(afterQuery.shape);
  const read = operation(
    "Read",
    "Read an answer, or follow it",
    { ...answer, "text/event-stream": eventStreamContent(dialect) },
    {
      description:
        "While it is being written it has no output yet. With `stream=true` its events come, then and later.",
      requestParams: { ...parameters(route), query, header: lastEventHeader },
    },
    [400, 401, 404],
  );
  return {
    get: { ...read, responses: { ...read.responses, "200": { ...read.responses["200"], headers: turnHeadersSchema } } },
    delete: operation("Delete", "Make an answer unreadable", shape),
  };
}
