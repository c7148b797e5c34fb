// What every dialect must keep, over the recorded turns of test/golden: exact frames, the same bytes twice, resuming from
// every frame, its clients' real parsers however the bytes are cut, and no string of a model that breaks a frame.
// A dialect's test calls `dialectContract`. UPDATE_GOLDEN=1 writes the transcripts instead of comparing them.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { createParser } from "eventsource-parser";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Dialect, Pacing } from "@/lib/dialects/dialect";
import { batchEncoder, readFromSeq } from "@/lib/dialects/encode";
import { contentOf } from "@/lib/dialects/frames";
import type { LoggedChunk, TurnChunk } from "@/lib/turn/chunks";
import { parseCursor } from "@/lib/turn/cursor";
import { foldChunks } from "@/lib/turn/fold";
import type { TurnContext } from "@/lib/turn/turn-context";
import { richTurn } from "@/test/turn/rich-turn";

const folder = path.join(import.meta.dirname, "../../test/golden");
const readJson = (file: string) => JSON.parse(readFileSync(path.join(folder, file), "utf8"));

export const context: TurnContext = readJson("context.json");

/** The recorded turns by name, and one with every kind of chunk there is. */
export const turns: [name: string, chunks: TurnChunk[]][] = [
  ...readdirSync(folder)
    .filter((file) => file.endsWith(".json") && file !== "context.json")
    .map((file): [string, TurnChunk[]] => [file.slice(0, -5), readJson(file)]),
  ["rich", richTurn],
];

export type ReadEvent = { event?: string; data: string; id?: string };

export type Reading = {
  dialect: Dialect;
  /** What one event adds to the text that a reader shows. */
  textOf(event: ReadEvent): string;
  /** Of a reader that asks for its frames otherwise. */
  pacing?: Pacing;
  /** The parser of the format's own client: the values it hands out, whatever the pieces of the body. */
  readAll?(body: ReadableStream<Uint8Array>): Promise<unknown[]>;
};

export function log(chunks: TurnChunk[]): LoggedChunk[] {
  return chunks.map((chunk, index) => ({ seq: index + 1, chunk, json: JSON.stringify(chunk) }));
}

/** A reader's blocks; behind a cursor when there is one. */
export function blocksOf(dialect: Dialect, logged: LoggedChunk[], after?: string, pacing?: Pacing): string[] {
  const cursor = after === undefined ? null : parseCursor(after);
  const encode = batchEncoder(dialect, context, cursor, pacing);
  return encode(logged.filter(({ seq }) => seq > readFromSeq(dialect, cursor)));
}

/** What `eventsource-parser` reads from these pieces of a body. */
export function parse(pieces: Iterable<Uint8Array>): ReadEvent[] {
  const events: ReadEvent[] = [];
  const parser = createParser({
    onEvent: ({ event, data, id }) => events.push({ event, data, id }),
    onError: (error) => expect.fail(String(error)),
  });
  const decoder = new TextDecoder();
  for (const piece of pieces) parser.feed(decoder.decode(piece, { stream: true }));
  return events;
}

export function* singleBytes(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at++) yield bytes.subarray(at, at + 1);
}

const encoder = new TextEncoder();
const framePattern = /^(event: [a-z._]+\n)?data: [^\r\n]*\n(id: [A-Za-z0-9._-]{1,128}\n)?\n$/;
const cursorOf = (block: string) => fieldOf(block, "id");

/** By line feeds alone: to a regular expression U+2028 would be the end of a line too. */
function fieldOf(block: string, name: string): string | undefined {
  const line = block.split("\n").find((each) => each.startsWith(`${name}: `));
  return line?.slice(name.length + 2);
}

export function dialectContract({ dialect, textOf, pacing, readAll }: Reading): void {
  const name = pacing ? `${dialect.name}-${pacing.chunkWords}` : dialect.name;
  const encode = (chunks: TurnChunk[], after?: string) => blocksOf(dialect, log(chunks), after, pacing);

  test.each(turns)("I18: the recorded turn %s has exactly these frames", (turn, chunks) => {
    const file = path.join(folder, name, `${turn}.sse`);
    const blocks = encode(chunks).join("");
    if (process.env.UPDATE_GOLDEN) {
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(file, blocks);
    }
    expect(blocks).toBe(readFileSync(file, "utf8"));
  });

  test.each(turns)("I18: %s: encodes the same bytes every time, however the log batches", (_, chunks) => {
    const whole = encode(chunks);
    expect(encode(chunks)).toEqual(whole);
    const one = batchEncoder(dialect, context, null, pacing);
    expect(log(chunks).flatMap((logged) => one([logged]))).toEqual(whole);
  });

  test.each(turns)(
    "%s: each block is one frame of docs/protocol.md §2 with an ascending id; only the trailer has none",
    (_, chunks) => {
      const blocks = encode(chunks);
      for (const block of blocks) expect(block).toMatch(framePattern);
      let before = { seq: 0, n: -1 };
      for (const block of blocks.filter((each) => cursorOf(each))) {
        const { turnId, seq, n } = parseCursor(cursorOf(block) as string) ?? expect.fail(block);
        expect(turnId).toBe(context.turnId);
        expect(n).toBe(seq === before.seq ? before.n + 1 : 0);
        expect(seq).toBeGreaterThanOrEqual(before.seq);
        before = { seq, n };
      }
      const trailers = blocks.filter((block) => !cursorOf(block));
      expect(trailers).toEqual(dialect.trailer === undefined ? [] : [`data: ${dialect.trailer}\n\n`]);
      expect(encode(chunks.slice(0, -1)).filter((block) => !cursorOf(block))).toEqual([]);
      expect(encode(chunks, `${context.turnId}.${chunks.length}.999999`)).toEqual([]);
    },
  );

  test.each(turns)("I3 I18: %s: cutting and resuming after any frame gives the uncut bytes", (_, chunks) => {
    const blocks = encode(chunks);
    blocks.forEach((block, index) => {
      const id = cursorOf(block);
      if (!id) return;
      const last = blocks.slice(index + 1).every((later) => !cursorOf(later));
      // Behind its last frame a turn has nothing more to say: the answer is 204, and no second [DONE].
      expect(encode(chunks, id)).toEqual(last ? [] : blocks.slice(index + 1));
    });
  });

  test.each(turns)("I19: %s: the parser reads the same when split at every byte", async (_, chunks) => {
    const bytes = encoder.encode(encode(chunks).join(""));
    const whole = parse([bytes]);
    expect(parse(singleBytes(bytes))).toEqual(whole);
    if (!readAll) return;
    expect(await readAll(bodyOf(singleBytes(bytes)))).toEqual(await readAll(bodyOf([bytes])));
  });

  test.each(turns)("I18: %s: its text equals the message's", async (_, chunks) => {
    const events = parse([encoder.encode(encode(chunks).join(""))]);
    expect(plain(events.map(textOf).join(""))).toBe(plain(contentOf(await foldChunks(chunks))));
  });

  test("I19: no string from a model, tool or document breaks a frame", () => {
    const hostile = fc.oneof(
      fc.string({ unit: "binary" }),
      fc
        .array(fc.constantFrom("\r", "\n", "\0", "\ufeff", "\u2028", "\ud800", "data: ", "id: 7", "[DONE]", ": x", " "))
        .map((all) => all.join("")),
    );
    fc.assert(
      fc.property(hostile, (text) => {
        const blocks = encode(hostileTurn(text));
        for (const block of blocks) expect(block).toMatch(framePattern);
        const events = parse([encoder.encode(blocks.join(""))]);
        expect(events.map(({ data }) => data)).toEqual(blocks.map((block) => fieldOf(block, "data")));
        expect(events.map(textOf).join("")).toBe(text);
      }),
      { numRuns: 300 },
    );
  });
}

/** Two text parts are paragraphs in most formats and just follow each other in those that only hand on deltas. */
function plain(text: string): string {
  return text.replaceAll("\n\n", "");
}

function bodyOf(pieces: Iterable<Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = pieces[Symbol.iterator]();
  return new ReadableStream({
    pull(controller) {
      const { done, value } = iterator.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
  });
}

function hostileTurn(text: string): TurnChunk[] {
  const source = { ordinal: 1, score: 1, text, documentId: text, chunkId: text, metadata: { page: text } };
  return [
    { type: "start", messageId: context.messageId },
    { type: "data-status", id: "retrieve", data: { stage: "retrieve", label: text, state: "active" } },
    {
      type: "source-document",
      sourceId: text,
      mediaType: "text/plain",
      title: text,
      filename: text,
      providerMetadata: { retrieval: source },
    },
    { type: "data-status", id: "generate", data: { stage: "generate", label: text, state: "active" } },
    { type: "text-start", id: "t" },
    { type: "text-delta", id: "t", delta: text },
    { type: "text-end", id: "t" },
    { type: "tool-input-available", toolCallId: text, toolName: text, input: { [text]: text } },
    { type: "tool-output-available", toolCallId: text, output: text },
    { type: "tool-input-available", toolCallId: `${text}2`, toolName: text, input: text },
    { type: "tool-output-error", toolCallId: `${text}2`, errorText: text },
    {
      type: "data-turn",
      data: { turnId: context.turnId, status: "failed", error: { code: "internal", message: text, retryable: false } },
      transient: true,
    },
    { type: "error", errorText: text },
  ];
}
