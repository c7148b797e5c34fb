// The client side of a wire format: how to ask, and what its events mean. Contract and shared
// helpers. Pure.
import { z } from "zod";
import type { SearchMode } from "../../../lib/turn/chunks.ts";
import type { AnswerMetadata, ChatEvent, ChatSource } from "./chat-events.ts";
import { badResponse } from "./request.ts";
import { type Frame, parseJson } from "./stream-connection.ts";

export type Question = {
  text: string;
  /** A chat id, or its small number if the format supports that. Absent: a new chat. */
  chat?: string | number | undefined;
  model?: string | undefined;
  searchMode?: SearchMode | undefined;
  documentIds?: string[] | undefined;
};

/** `key` is the idempotency key of the question. */
export type QuestionRequest = Question & { key: string; userId: string };
export type PostRequest = { path: string; body: object };

/** `paragraph`: the next text starts a new part of the answer. */
export type DecodedEvent = ChatEvent | { type: "paragraph" };

export type ClientDialect = {
  toRequest(asked: QuestionRequest): PostRequest;
  decode(frame: Frame): DecodedEvent[];
  /** GET path that resumes after a cursor. Default: the turn's own, with `?dialect=`. */
  resumePath?(asked: QuestionRequest): string;
  /** The path contains the chat, so one must exist before the first question. */
  needsChat?: boolean;
  /** Separator between text parts, if not an empty line. */
  textSeparator?: string;
  /** The answer in one piece, if the format supports it. */
  fullResponse?: { ask(asked: QuestionRequest): PostRequest; decode(body: unknown): ChatEvent[] };
};

export function chatField({ chat }: QuestionRequest): object {
  return chat === undefined ? {} : { conversation_id: chat };
}

export function camelCaseOptions({ model, searchMode, documentIds }: QuestionRequest): object {
  return { model, searchMode, documentIds };
}

export function snakeCaseOptions({ model, searchMode, documentIds }: QuestionRequest): object {
  return { model, search_mode: searchMode, document_ids: documentIds };
}

export function text(delta: string): ChatEvent[] {
  return delta ? [{ type: "text", delta }] : [];
}

/** Decodes events by their `type`. Unknown events of a newer server are dropped. */
export function decodeByType(
  table: Record<string, (value: unknown) => DecodedEvent[]>,
): (frame: Frame) => DecodedEvent[] {
  return ({ data }) => {
    if (data === "[DONE]") return [];
    const value = parse(z.looseObject({ type: z.string() }), parseJson(data));
    return table[value.type]?.(value) ?? [];
  };
}

export function decodeWith<T>(
  schema: z.ZodType<T>,
  read: (value: T) => DecodedEvent[],
): (value: unknown) => DecodedEvent[] {
  return (value) => read(parse(schema, value));
}

/** Whole answers have no paragraph breaks to restore. */
export function decodeFull(read: (value: unknown) => DecodedEvent[]): (value: unknown) => ChatEvent[] {
  return (value) => read(value).filter((event) => event.type !== "paragraph");
}

export function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw badResponse("The server sent an event that is not of this format.", 200, result.error);
}

export function statusSchema() {
  return z.object({ label: z.string(), state: z.enum(["active", "done"]), detail: z.string().optional() });
}

export function toolCallSchema() {
  return z.object({ id: z.string(), name: z.string(), arguments: z.unknown() });
}

function sourceSchema() {
  return z
    .object({
      text: z.string(),
      score: z.number(),
      metadata: z.looseObject({ document_id: z.string(), title: z.string(), ordinal: z.number().optional() }),
    })
    .transform(
      ({ text, score, metadata: { document_id, title, ordinal } }): ChatSource => ({
        ...{ text, score, title, ordinal },
        documentId: document_id,
      }),
    );
}

export function sourcesSchema() {
  return z.array(sourceSchema());
}

export function usageSchema() {
  return z
    .object({ input_tokens: z.number(), output_tokens: z.number(), total_tokens: z.number() })
    .transform(
      (used): NonNullable<AnswerMetadata["usage"]> => ({
        inputTokens: used.input_tokens,
        outputTokens: used.output_tokens,
        totalTokens: used.total_tokens,
      }),
    )
    .nullable();
}
