import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatFrame } from "@/lib/sse";
import type { LoggedChunk, TurnChunk } from "@/lib/turn/chunks";
import { context } from "@/test/dialects/dialect.contract";
import { content } from "./content";
import { batchEncoder } from "./encode";
import { maxPieceBytes, maxSegmentBytes, piecesOf, writesOf } from "./segments";

const awkward = fc.oneof(
  fc.string({ unit: "binary", maxLength: 600 }),
  fc
    .array(fc.constantFrom("a", '"', "\\", "\n", "\0", "é", "\u0085", "\u2028", "日", "👋", "\ud800"), {
      maxLength: 600,
    })
    .map((all) => all.join("")),
);
/** Bytes of the text alone, without its quotes. */
const bytesInFrame = (text: string) =>
  Buffer.byteLength(formatFrame({ data: JSON.stringify(text) })) - Buffer.byteLength('data: ""\n\n');

test("pieces join to the text, stay under the limit and never split a character", () => {
  fc.assert(
    fc.property(awkward, fc.integer({ min: 6, max: 300 }), (text, maxBytes) => {
      const pieces = piecesOf(text, maxBytes);
      expect(pieces.join("")).toBe(text);
      for (const piece of pieces) {
        expect(piece).not.toBe("");
        expect(bytesInFrame(piece)).toBeLessThanOrEqual(maxBytes);
      }
      // JSON would escape the halves of a split surrogate pair.
      expect(pieces.map((piece) => JSON.stringify(piece).slice(1, -1)).join("")).toBe(
        JSON.stringify(text).slice(1, -1),
      );
    }),
  );
});

test("pieces are as large as the limit allows", () => {
  expect(piecesOf("x".repeat(2_500)).map(({ length }) => length)).toEqual([1_000, 1_000, 500]);
  expect(piecesOf("👋".repeat(300)).map(({ length }) => length)).toEqual([500, 100]);
});

test("writes contain whole blocks in order, and fit a segment unless a single block does not", () => {
  const blocks = fc.array(fc.string({ unit: "grapheme", minLength: 1, maxLength: 60 }), { maxLength: 30 });
  fc.assert(
    fc.property(blocks, (all) => {
      const writes = writesOf(all, 100);
      expect(writes.join("")).toBe(all.join(""));
      const ends = new Set(all.map((_, index) => all.slice(0, index + 1).join("").length));
      let length = 0;
      for (const write of writes) {
        length += write.length;
        expect(ends).toContain(length);
        if (Buffer.byteLength(write) > 100) expect(all).toContain(write);
      }
    }),
  );
});

describe("dialect content", () => {
  const logged = (chunks: TurnChunk[]): LoggedChunk[] =>
    chunks.map((chunk, index) => ({ seq: index + 1_000_000, chunk, json: JSON.stringify(chunk) }));
  const source = { ordinal: 1, score: 1, text: "x".repeat(2_000), documentId: "d", chunkId: "c", metadata: {} };
  const chunks = (text: string): TurnChunk[] => [
    { type: "start", messageId: context.messageId },
    {
      type: "source-document",
      sourceId: "s",
      mediaType: "text/plain",
      title: "Rivers",
      providerMetadata: { retrieval: source },
    },
    { type: "text-start", id: "t" },
    { type: "text-delta", id: "t", delta: text },
    { type: "text-end", id: "t" },
    {
      type: "message-metadata",
      messageMetadata: { usage: { inputTokens: 1e9, outputTokens: 1e9, totalTokens: 2e9 }, status: "complete" },
    } as TurnChunk,
    { type: "finish" },
  ];
  const blocksFor = (text: string, view = {}) =>
    batchEncoder(content, { ...context, chatId: '"'.repeat(128), view }, null)(logged(chunks(text)));

  test("each event fits one TCP segment, however large the model's chunks and sources are", () => {
    for (const text of [
      "x".repeat(50_000),
      "\0".repeat(5_000),
      "日本👋".repeat(3_000),
      `${"a".repeat(maxPieceBytes)}👋`,
    ]) {
      const blocks = blocksFor(text);
      expect(Math.max(...blocks.map((block) => Buffer.byteLength(block)))).toBeLessThanOrEqual(maxSegmentBytes);
      const events = blocks.map((block) => JSON.parse(/^data: (.*)$/m.exec(block)?.[1] ?? ""));
      expect(events.map((event) => event.content ?? "").join("")).toBe(text);
      expect(Object.keys(events.at(-1))).toEqual(["type", "message_id", "conversation_id", "usage"]);
    }
  });

  test("its last event has the sources when requested", () => {
    const last = blocksFor("Hi", { includeSources: true }).at(-1);
    expect(last).toContain('"sources":[{"text":"xxx');
  });
});
