import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { richTurn } from "@/test/turn/rich-turn";
import type { LoggedChunk, TurnChunk } from "./chunks";
import { foldChunks } from "./fold";
import { compactChunks, joinDeltas, pushJoined, splitDelta } from "./merge";

const text = (delta: string, id = "a"): TurnChunk => ({ type: "text-delta", id, delta });
const logged = (chunks: TurnChunk[]): LoggedChunk[] =>
  chunks.map((chunk, index) => ({ seq: index + 1, chunk, json: JSON.stringify(chunk) }));

/** Every possible JavaScript string: characters of all planes, and lone surrogates. */
const anyText = fc.string({
  unit: fc.oneof(
    fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
    fc.integer({ min: 0xd800, max: 0xdfff }).map((code) => String.fromCharCode(code)),
  ),
});
/** A surrogate pair at every second index, so that each boundary has one before or across it. */
const longText = fc
  .tuple(fc.constantFrom("", "x"), anyText, fc.integer({ min: 8_191, max: 17_000 }))
  .map(([shift, piece, pairs]) => `${shift}${"😀".repeat(pairs)}${piece}`);

describe("joinDeltas", () => {
  it("joins adjacent deltas of one part without modifying either", () => {
    const [first, second] = [text("Hel"), text("lo")];
    expect(joinDeltas(first, second)).toEqual(text("Hello"));
    expect([first, second]).toEqual([text("Hel"), text("lo")]);
    const input = (inputTextDelta: string): TurnChunk => ({
      type: "tool-input-delta",
      toolCallId: "t",
      inputTextDelta,
    });
    expect(joinDeltas(input('{"a"'), input(":1}"))).toEqual(input('{"a":1}'));
  });

  it.each<[string, TurnChunk, TurnChunk]>([
    ["deltas of different parts", text("x", "a"), text("y", "b")],
    ["deltas of different kinds", text("x"), { type: "reasoning-delta", id: "a", delta: "y" }],
    [
      "deltas of different tools",
      { type: "tool-input-delta", toolCallId: "t", inputTextDelta: "x" },
      { type: "tool-input-delta", toolCallId: "u", inputTextDelta: "y" },
    ],
    [
      "provider metadata on the first delta",
      { type: "text-delta", id: "a", delta: "x", providerMetadata: { p: {} } },
      text("y"),
    ],
    [
      "provider metadata on the second delta",
      text("x"),
      { type: "text-delta", id: "a", delta: "y", providerMetadata: { p: {} } },
    ],
    ["chunks that are not deltas", { type: "start-step" }, { type: "start-step" }],
    ["a part and its end", text("x"), { type: "text-end", id: "a" }],
    ["deltas that would be too large", text("x".repeat(16_384)), text("y")],
  ])("never joins %s", (_, first, second) => expect(joinDeltas(first, second)).toBeNull());
});

describe("splitDelta", () => {
  it("loses nothing, keeps pieces small, and never splits a character", () => {
    fc.assert(
      fc.property(fc.oneof(anyText, longText), fc.constantFrom("text-delta", "reasoning-delta"), (delta, type) => {
        const pieces = splitDelta({ type, id: "a", delta }) as { type: string; id: string; delta: string }[];
        expect(pieces.map((piece) => piece.delta).join("")).toBe(delta);
        for (const piece of pieces) {
          expect(piece).toMatchObject({ type, id: "a" });
          expect(piece.delta.length).toBeLessThanOrEqual(16_384);
        }
        for (const [index, piece] of pieces.slice(1).entries()) {
          const border = (pieces[index]?.delta.at(-1) ?? "") + piece.delta.charAt(0);
          expect(border).not.toMatch(/^[\ud800-\udbff][\udc00-\udfff]$/);
        }
      }),
    );
  });

  it("returns small deltas and other chunks unchanged", () => {
    expect(splitDelta(text("x".repeat(16_384)))).toHaveLength(1);
    expect(splitDelta({ type: "start-step" })).toEqual([{ type: "start-step" }]);
  });
});

describe("compactChunks", () => {
  it("I18: keeps the fold, the order and the last seq, wherever the log is cut", async () => {
    const whole = logged(richTurn);
    const message = await foldChunks(richTurn);
    for (let cut = 0; cut <= whole.length; cut++) {
      const compact = [...compactChunks(whole.slice(0, cut)), ...compactChunks(whole.slice(cut))];
      expect(await foldChunks(compact.map(({ chunk }) => chunk))).toEqual(message);
      expect(compact.at(-1)?.seq).toBe(whole.length);
      const seqs = compact.map(({ seq }) => seq);
      expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b));
      for (const { chunk, json } of compact) expect(JSON.parse(json)).toEqual(chunk);
    }
  });

  it("I3 I18: gives a joined chunk the seq of its last delta, so cursors keep their meaning", () => {
    const chunks = [text("a"), text("b"), text("c", "other"), text("d", "other")];
    expect(compactChunks(logged(chunks)).map(({ seq, chunk }) => [seq, chunk])).toEqual([
      [2, text("ab")],
      [4, text("cd", "other")],
    ]);
  });

  it("does not modify its input", () => {
    const given = logged(richTurn);
    compactChunks(given);
    expect(given).toEqual(logged(richTurn));
  });
});

it("joins pushed chunks in place", () => {
  const chunks: TurnChunk[] = [];
  for (const chunk of [text("a"), text("b"), text("c", "other")]) pushJoined(chunks, chunk);
  expect(chunks).toEqual([text("ab"), text("c", "other")]);
});
