// Dialect `responses` (docs/protocol.md §6.7): OpenAI's Responses API, whose clients can resume.
// Requests are parsed in responses-request.ts, events are built in responses-events.ts.
import { z } from "zod";
import { AppError } from "@/lib/errors";
import type { ChatMessage, LoggedChunk } from "@/lib/turn/chunks";
import { unfoldMessage } from "@/lib/turn/fold";
import type { StoredMessage, TurnAnswer, TurnContext } from "@/lib/turn/turn-context";
import type { AnswerRoute, Dialect, Failure } from "./dialect";
import { openai } from "./openai";
import { showError, statusOf, turnFailure } from "./openai-errors";
import { responseEvents } from "./responses-events";
import { inputItemsOf, turnOfResponse } from "./responses-items";
import { responseObject } from "./responses-object";
import { parseResponseRequest, referencesOf, responseBody } from "./responses-request";
import { deletedShape, eventShape, inputShape, responseShape } from "./responses-shapes";

const bodies = { runningResponse, fullResponse, answer: responseShape };
const page = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(20),
  order: z.enum(["asc", "desc"]).default("desc"),
  after: z.string().max(256).optional().describe("An item id: the page starts after it."),
});
const named = { turn: "responseId", turnIdOf: turnOfResponse, bodies: bodies } satisfies Partial<AnswerRoute>;
const path = "/v1/responses/:responseId";

export const responses: Dialect = {
  name: "responses",
  contextScope: "turn",
  stateful: true,
  encoder: responseEvents,
  routes: [
    {
      kind: "turn",
      path: "/v1/responses",
      streams: true,
      body: responseBody,
      example: { input: "What is a rivulet?", stream: true },
      references: referencesOf,
      parseRequest: parseResponseRequest,
      ...bodies,
    },
    {
      ...named,
      kind: "answer",
      path,
      deleted: (id) => ({ id, object: "response", deleted: true }),
      shape: deletedShape,
    },
    { ...named, kind: "stop", path: `${path}/cancel` },
    { ...named, kind: "input", path: `${path}/input_items`, list: listInputItems, query: page, shape: inputShape },
  ],
  failure: (refusal) => ({ error: showError(withOwnFieldNames(refusal)) }),
  statusOf,
  turnFailure: (error) => withOwnFieldNames(turnFailure(error)),
  description: {
    summary: "OpenAI's Responses: works with OpenAI's own client, which can resume.",
    event: eventShape,
    failure: openai.description?.failure,
  },
};

/** Maps Chat Completions field names, used in provider refusals, to this API's. */
const ownFieldNames = new Map([
  ["messages", "input"],
  ["max_completion_tokens", "max_output_tokens"],
  ["reasoning_effort", "reasoning.effort"],
  ["response_format", "text.format"],
  ["verbosity", "text.verbosity"],
]);

function withOwnFieldNames<T extends Omit<Failure, "requestId">>(failure: T): T {
  const { message, details } = failure;
  const [, field = ""] = /^([\w.]{1,200}): /.exec(message) ?? [];
  const renamed = (ownFieldNames.get(field) ?? field) + message.slice(field.length);
  const param = ownFieldNames.get(String(details?.param));
  return { ...failure, message: renamed, ...(param && { details: { ...details, param } }) };
}

function runningResponse(context: TurnContext): object {
  return responseObject(context, { status: "in_progress", output: [] });
}

/** The response of the last event: built one way only, so the two cannot differ. */
function fullResponse({ context, message }: TurnAnswer): unknown {
  const encode = responseEvents(context);
  const frames = unfoldMessage(message).flatMap((chunk) => encode({ chunk } as LoggedChunk));
  return JSON.parse(frames.at(-1)?.data ?? "{}").response;
}

function listInputItems(messages: StoredMessage[], query: unknown): unknown {
  const { limit, order, after } = query as z.output<typeof page>;
  const all = messages.flatMap((message) => inputItemsOf(message as ChatMessage)) as { id: string }[];
  if (order === "desc") all.reverse();
  const start = after === undefined ? 0 : all.findIndex(({ id }) => id === after) + 1;
  if (after !== undefined && start === 0) throw new AppError("bad_request", "after: is not the id of an input item");
  const data = all.slice(start, start + limit);
  return {
    object: "list",
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: start + limit < all.length,
  };
}
