// The client side of `ai-sdk` and `text`, which send on the native path (docs/protocol.md §5 and
// §6.8). Pure.
import { z } from "zod";
import { parseSource } from "../../../lib/turn/chunks.ts";
import { showSource } from "./chat-events.ts";
import {
  type ClientDialect,
  camelCaseOptions,
  decodeByType,
  decodeWith,
  type PostRequest,
  parse,
  type QuestionRequest,
  statusSchema,
  text,
} from "./client-dialect.ts";
import { parseJson } from "./stream-connection.ts";

const nativeRequest = (question: QuestionRequest): PostRequest => ({
  path: "/api/chat",
  body: {
    ...(question.chat !== undefined && { id: String(question.chat) }),
    message: { id: question.key, role: "user", parts: [{ type: "text", text: question.text }] },
    ...camelCaseOptions(question),
  },
});

const usage = z.object({ inputTokens: z.number(), outputTokens: z.number(), totalTokens: z.number() }).nullish();
const nativeMetadata = z.object({
  chatId: z.string().optional(),
  model: z.string().optional(),
  usage,
  searchMode: z.enum(["all", "selected", "none"]).nullish(),
  confidence: z.number().nullish(),
});
const nativeCall = decodeWith(
  z.object({ toolCallId: z.string(), toolName: z.string(), input: z.unknown() }),
  ({ toolCallId, toolName, input }) => [{ type: "tool-call", id: toolCallId, name: toolName, arguments: input }],
);

export const aiSdk: ClientDialect = {
  toRequest: nativeRequest,
  decode: decodeByType({
    start: decodeWith(
      z.object({ messageId: z.string(), messageMetadata: nativeMetadata }),
      ({ messageId, messageMetadata }) => [{ type: "metadata", metadata: { messageId, ...messageMetadata } }],
    ),
    "data-status": decodeWith(z.object({ data: statusSchema() }), ({ data: { label, state, detail } }) => [
      { type: "status", label, done: state === "done", detail },
    ]),
    "source-document": decodeWith(
      z.looseObject({
        sourceId: z.string(),
        mediaType: z.string(),
        title: z.string(),
        providerMetadata: z.record(z.string(), z.unknown()).optional(),
      }),
      (part) => {
        const source = parseSource(part);
        return source ? [{ type: "sources", sources: [showSource(source)] }] : [];
      },
    ),
    "text-start": () => [{ type: "paragraph" }],
    "text-delta": decodeWith(z.object({ delta: z.string() }), ({ delta }) => text(delta)),
    "tool-input-available": nativeCall,
    "tool-input-error": nativeCall,
    "tool-output-available": decodeWith(
      z.object({ toolCallId: z.string(), output: z.unknown(), preliminary: z.boolean().optional() }),
      ({ toolCallId, output, preliminary }) =>
        preliminary ? [] : [{ type: "tool-result", id: toolCallId, result: output }],
    ),
    "tool-output-error": decodeWith(
      z.object({ toolCallId: z.string(), errorText: z.string() }),
      ({ toolCallId, errorText }) => [{ type: "tool-result", id: toolCallId, result: { error: errorText } }],
    ),
    "message-metadata": decodeWith(z.object({ messageMetadata: nativeMetadata }), ({ messageMetadata }) => [
      { type: "metadata", metadata: messageMetadata },
    ]),
    // Carries the kind of failure, which the terminal after it does not.
    "data-turn": decodeWith(
      z.object({ data: z.object({ error: z.object({ code: z.string(), message: z.string() }).optional() }) }),
      ({ data: { error } }) => (error ? [{ type: "error", code: error.code, message: error.message }] : []),
    ),
    finish: () => [{ type: "done" }],
    abort: () => [{ type: "stopped" }],
    error: decodeWith(z.object({ errorText: z.string() }), ({ errorText }) => [{ type: "error", message: errorText }]),
  }),
};

/**
 * Sent natively, then followed as text. The stream does not tell how it ended; the turn's state
 * does.
 */
export const deltas: ClientDialect = {
  toRequest: nativeRequest,
  decode: ({ data }) => text(parse(z.string(), parseJson(data))),
  textSeparator: "",
};
