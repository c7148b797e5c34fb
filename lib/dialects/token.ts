// Dialect `token` (docs/protocol.md §6.5): start, tokens, end. A reader may have tokens regrouped
// by words.
import { z } from "zod";
import { ChunkState } from "@/lib/turn/chunk-state";
import type { StoredMessage } from "@/lib/turn/turn-context";
import { turnOptions } from "@/lib/turn/turn-options";
import type { Dialect, DialectFrame } from "./dialect";
import { asQuestion, nonBlankText } from "./fields";
import { contentOf, endOf, frame } from "./frames";
import { failureShape, time } from "./shapes";
import { WordGroups } from "./word-groups";

const body = z.object({ content: nonBlankText, role: z.literal("user").default("user"), ...turnOptions });

const pacing = z
  .object({
    chunk_words: z.coerce.number().int().min(1).max(50).optional().describe("Words per event."),
    delay_ms: z.coerce.number().int().min(0).max(2_000).optional().describe("Milliseconds between events."),
  })
  .transform(({ chunk_words, delay_ms }) => ({ chunkWords: chunk_words, delayMs: delay_ms }));

const event = z.union([
  z.object({ type: z.enum(["start", "end"]), messageId: z.string().describe("The answer's, in both.") }),
  z.object({ type: z.literal("token"), content: z.string() }),
  z.object({ type: z.literal("error"), error: z.string() }),
]);
const messages = z.array(
  z.object({
    id: z.string(),
    role: z.enum(["user", "assistant"]),
    content: z.string(),
    created_at: time,
    status: z.enum(["streaming", "complete", "stopped", "failed", "interrupted"]),
  }),
);

export const token: Dialect = {
  name: "token",
  contextScope: "turn",
  stateful: true,
  encoder: ({ messageId }, { chunkWords }) => {
    const state = new ChunkState();
    const groups = chunkWords ? new WordGroups(chunkWords) : null;
    return ({ chunk, seq }) => {
      const added = state.apply(chunk);
      const end = endOf(chunk);
      const frames: DialectFrame[] = [];
      if (groups)
        for (const { text, at } of groups.take(seq, added, end !== null))
          frames.push({ ...frame({ type: "token", content: text }), at });
      else if (added) frames.push(frame({ type: "token", content: added }));
      if (chunk.type === "start") {
        frames.push(frame({ type: "start", messageId }));
        groups?.markSent(seq);
      }
      if (end === "failed") frames.push(frame({ type: "error", error: state.error?.message }));
      else if (end) frames.push(frame({ type: "end", messageId }));
      return frames;
    };
  },
  routes: [
    {
      kind: "turn",
      path: "/sessions/:sessionId/messages/stream",
      chat: "sessionId",
      streams: true,
      pacing,
      body,
      example: { content: "What is a rivulet?", role: "user" },
      parseRequest(input) {
        const { content, model, searchMode, documentIds } = input.body as z.output<typeof body>;
        const options = { model, searchMode, documentIds };
        return { stream: true, request: { ...asQuestion(input.messageId, content), ...options } };
      },
    },
    {
      kind: "messages",
      path: "/sessions/:sessionId/messages",
      chat: "sessionId",
      answer: messages,
      list: (all) => all.map(showMessage),
    },
  ],
  failure: ({ code, message, requestId, details }) => ({ type: "error", error: message, code, requestId, ...details }),
  description: { summary: "Start, tokens, end.", event, failure: failureShape("error") },
};

function showMessage({ id, role, parts, createdAt, status }: StoredMessage): object {
  return { id, role, content: contentOf({ parts }), created_at: createdAt, status };
}
