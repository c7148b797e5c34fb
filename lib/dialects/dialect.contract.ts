// The laws of every dialect, as tests: each dialect's test file runs them (docs/protocol.md §2).
import { createParser, type EventSourceMessage } from "eventsource-parser";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { LoggedChunk, TurnChunk } from "@/lib/turn/chunks";
import { parseCursor } from "@/lib/turn/cursor";
import { richTurn } from "@/lib/turn/rich-turn";
import type { Dialect } from "./contract";
import { batchEncoder, readFromSeq } from "./encode";

const turnId = "01940000-0000-7000-8000-000000000001";

export const logged = (chunks: TurnChunk[]): LoggedChunk[] =>
  chunks.map((chunk, index) => ({ seq: index + 1, chunk, json: JSON.stringify(chunk) }));

/** What a reader at this cursor gets of the turn, read in batches of this many chunks. */
export function stream(dialect: Dialect, chunks: TurnChunk[], cursorId: string | null = null, batchSize = 7): string {
  const cursor = cursorId === null ? null : parseCursor(cursorId);
  const encode = batchEncoder(dialect, turnId, cursor);
  const left = logged(chunks).slice(readFromSeq(dialect, cursor));
  let blocks = "";
  for (let at = 0; at < left.length; at += batchSize) blocks += encode(left.slice(at, at + batchSize));
  return blocks;
}

/** Frames as a real client reads them when every byte comes alone. */
export function parseByteByByte(blocks: string): EventSourceMessage[] {
  const events: EventSourceMessage[] = [];
  const parser = createParser({
    onEvent: (event) => events.push(event),
    onError: (error) => {
      throw error;
    },
  });
  const decoder = new TextDecoder();
  for (const byte of new TextEncoder().encode(blocks))
    parser.feed(decoder.decode(Uint8Array.of(byte), { stream: true }));
  return events;
}

const blocksOf = (text: string) => text.split(/(?<=\n\n)/).filter(Boolean);
const idOf = (block: string) => /\nid: (.*)\n\n$/.exec(block)?.[1];

/** Text that would break a careless encoder out of its frame. */
const hostile = fc.oneof(
  fc.constantFrom("data:", "[DONE]", "\n\n", "\r\n", "\r", "\0", "\ufeff", "\u2028", "\u2029", "\n\nid: x", ": c\n\n"),
  fc.string({ unit: "binary" }),
  fc.integer({ min: 0xd800, max: 0xdfff }).map((code) => String.fromCharCode(code)),
);
export const hostileText = fc.array(hostile, { maxLength: 8 }).map((pieces) => pieces.join(""));

/** Turns in which every string may be hostile. */
const hostileTurn = fc
  .tuple(
    fc.array(hostileText, { minLength: 1, maxLength: 5 }),
    hostileText,
    fc.constantFrom("finish", "abort", "error"),
  )
  .map(([deltas, other, end]): TurnChunk[] => [
    { type: "start", messageId: other },
    { type: "source-document", sourceId: other, mediaType: "text/plain", title: other },
    { type: "start-step" },
    { type: "text-start", id: other },
    ...deltas.map((delta): TurnChunk => ({ type: "text-delta", id: other, delta })),
    { type: "text-end", id: other },
    { type: "tool-input-available", toolCallId: other, toolName: other, input: { [other]: other } },
    { type: "tool-output-error", toolCallId: other, errorText: other },
    { type: "finish-step" },
    end === "finish"
      ? { type: end }
      : end === "abort"
        ? { type: end, reason: other }
        : { type: "error", errorText: other },
  ]);

export function dialectContract(dialect: Dialect): void {
  const whole = stream(dialect, richTurn);
  const blocks = blocksOf(whole);
  const numbered = blocks.filter((block) => idOf(block) !== undefined);

  describe(`dialect ${dialect.name}`, () => {
    it("says something", () => expect(numbered.length).toBeGreaterThan(1));

    it("gives the same bytes for the same chunks, however they are batched", () => {
      for (const batchSize of [1, 2, 7, richTurn.length])
        expect(stream(dialect, richTurn, null, batchSize)).toBe(whole);
    });

    it("resumed at any frame gives exactly the rest", () => {
      for (const block of numbered) {
        const rest = whole.slice(whole.indexOf(block) + block.length);
        const last = idOf(block) === idOf(numbered.at(-1) as string);
        // The trailer belongs to the terminal: whoever has the terminal's last frame has the turn.
        const terminalSeen = last && parseCursor(idOf(block) as string)?.seq === richTurn.length;
        expect(stream(dialect, richTurn, idOf(block))).toBe(terminalSeen ? "" : rest);
      }
    });

    it("leaves nothing behind the terminal", () => {
      expect(stream(dialect, richTurn, `${turnId}.${richTurn.length}.999999`)).toBe("");
    });

    it("closes a complete stream with its trailer, without an id, and no other", () => {
      const trailers = blocks.filter((block) => idOf(block) === undefined);
      expect(trailers).toEqual(dialect.trailer === undefined ? [] : [`data: ${dialect.trailer}\n\n`]);
      expect(blocksOf(stream(dialect, richTurn.slice(0, -1))).every((block) => idOf(block) !== undefined)).toBe(true);
    });

    it("numbers its frames upwards, with ids that a cursor understands", () => {
      const cursors = numbered.map((block) => parseCursor(idOf(block) as string));
      for (const [index, cursor] of cursors.entries()) {
        expect(cursor).toMatchObject({ turnId });
        const before = cursors[index - 1] ?? { seq: 0, n: 0 };
        const [seq, n] = [cursor?.seq ?? 0, cursor?.n ?? 0];
        expect(seq > before.seq ? n === 0 : seq === before.seq && n === before.n + 1).toBe(true);
      }
    });

    it("writes a block as event, one data line, id", () => {
      for (const block of blocks)
        expect(block).toMatch(/^(event: [a-z_-]+\n)?data: [^\r\n]*\n(id: [A-Za-z0-9._-]{1,128}\n)?\n$/);
    });

    it("is read by a real parser, byte by byte, as it was written", () => {
      expect(parseByteByByte(whole).map(({ id, data }) => [id, data])).toEqual(
        blocks.map((block) => [idOf(block), /^data: ([^\n]*)$/m.exec(block)?.[1]]),
      );
    });

    it("lets no text break out of its frame", () => {
      fc.assert(
        fc.property(hostileTurn, (turn) => {
          const encode = dialect.encoder();
          const frames = logged(turn).flatMap((chunk) => encode(chunk));
          const expected = frames.map(({ data }) => data).concat(dialect.trailer ?? []);
          const events = parseByteByByte(stream(dialect, turn));
          expect(events.map(({ data }) => data)).toEqual(expected);
        }),
      );
    });
  });
}
