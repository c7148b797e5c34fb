import { describe, expect, it } from "vitest";
import type { TurnChunk } from "./chunks";
import { markChunk, ReplayFilter, ResumableAnswer, upstreamOf } from "./upstream";

const mark = { responseId: "resp_1", after: 0 };
const answer: TurnChunk[] = [
  { type: "reasoning-start", id: "r" },
  { type: "reasoning-delta", id: "r", delta: "Think" },
  { type: "reasoning-delta", id: "r", delta: "ing" },
  { type: "reasoning-end", id: "r" },
  { type: "text-start", id: "t" },
  { type: "text-delta", id: "t", delta: "One " },
  { type: "text-delta", id: "t", delta: "two " },
  { type: "text-end", id: "t" },
  { type: "tool-input-start", toolCallId: "c", toolName: "add_task" },
  { type: "tool-input-delta", toolCallId: "c", inputTextDelta: "{}" },
];
const call: TurnChunk = { type: "tool-input-available", toolCallId: "c", toolName: "add_task", input: {} };

/** Each text once, whatever pieces it came in. */
function said(chunks: (TurnChunk | null)[]): string[] {
  const texts = new Map<string, string>();
  const lines: string[] = [];
  for (const chunk of chunks) {
    if (!chunk) continue;
    const id = "toolCallId" in chunk ? chunk.toolCallId : "id" in chunk ? chunk.id : "";
    const delta = "delta" in chunk ? chunk.delta : "inputTextDelta" in chunk ? chunk.inputTextDelta : null;
    if (delta === null) lines.push(`${chunk.type} ${id}`);
    else texts.set(String(id), (texts.get(String(id)) ?? "") + delta);
  }
  return [...lines, ...texts.values()];
}

describe("upstreamOf", () => {
  const opened: TurnChunk[] = [{ type: "start-step" }, markChunk(mark)];

  it("finds the answer in which a log breaks off, and what the log has of it", () => {
    expect(upstreamOf([...opened, ...answer.slice(0, 6)])).toEqual({ mark, index: 1, logged: answer.slice(0, 6) });
    expect(upstreamOf(opened)).toEqual({ mark, index: 1, logged: [] });
  });

  it("finds the last of several", () => {
    const second = markChunk({ responseId: "resp_2", after: 3 });
    expect(upstreamOf([...opened, ...answer.slice(0, 8), { type: "finish-step" }, second])?.mark.responseId).toBe(
      "resp_2",
    );
  });

  it.each([
    ["no stored answer", answer],
    ["a complete one", [...opened, ...answer.slice(0, 8), { type: "finish-step" } as TurnChunk]],
    ["one that has called a tool", [...opened, ...answer, call]],
  ])("is null for %s", (_, chunks) => {
    expect(upstreamOf(chunks)).toBeNull();
  });
});

describe("SeenBefore", () => {
  it("logged and new chunks make the answer, wherever the log ends and however it is re-chunked", () => {
    for (let end = 0; end <= answer.length; end++)
      for (const size of [1, 2, 1_000]) {
        const before = new ReplayFilter(answer.slice(0, end));
        const again = answer.flatMap((chunk): TurnChunk[] =>
          chunk.type === "text-delta" || chunk.type === "reasoning-delta"
            ? (chunk.delta.match(new RegExp(`.{1,${size}}`, "g")) ?? []).map((delta) => ({ ...chunk, delta }))
            : [chunk],
        );
        expect(said([...answer.slice(0, end), ...again.map((chunk) => before.unseenPart(chunk))])).toEqual(
          said(answer),
        );
        expect(before.nothingNew).toBe(end === answer.length);
      }
  });

  it("a log that ends within a delta gets the rest of it, under the id that the log has", () => {
    const before = new ReplayFilter([
      { type: "text-start", id: "t-2" },
      { type: "text-delta", id: "t-2", delta: "On" },
    ]);
    const rest = answer.slice(4, 8).map((chunk) => before.unseenPart(chunk));
    expect(rest).toEqual([
      null,
      { type: "text-delta", id: "t-2", delta: "e " },
      { type: "text-delta", id: "t-2", delta: "two " },
      { type: "text-end", id: "t-2" },
    ]);
  });

  it("a text that goes on from another answer has no beginning in either", () => {
    const before = new ReplayFilter([{ type: "text-delta", id: "kept", delta: "On" }]);
    expect(before.unseenPart({ type: "text-delta", id: "kept", delta: "One" })).toMatchObject({
      id: "kept",
      delta: "e",
    });
    expect(before.unseenPart({ type: "text-end", id: "kept" })).toEqual({ type: "text-end", id: "kept" });
  });

  it("chunks of no part pass", () => {
    const before = new ReplayFilter(answer);
    expect(before.unseenPart({ type: "start-step" })).toEqual({ type: "start-step" });
    expect(before.unseenPart(call)).toEqual(call);
  });
});

describe("KeptAnswer", () => {
  it("yields each piece once, however often the connection breaks", () => {
    for (const breaks of [[2], [3, 6], [1, 2, 9]]) {
      const kept = new ResumableAnswer();
      const yielded: (TurnChunk | null)[] = [];
      expect(kept.start(mark)).toEqual(markChunk(mark));
      for (const end of breaks) {
        yielded.push(...answer.slice(0, end).map((chunk) => kept.unseenPart(chunk)));
        expect(kept.prepareReread(), `after ${end}`).toBe(true);
      }
      yielded.push(...answer.map((chunk) => kept.unseenPart(chunk)));
      expect(said(yielded)).toEqual(said(answer));
    }
  });

  it("is not read again without a mark, without anything new, and once it has called a tool", () => {
    const unmarked = new ResumableAnswer();
    expect(unmarked.unseenPart(answer[0] as TurnChunk)).toBe(answer[0]);
    expect(unmarked.prepareReread()).toBe(false);
    expect(new ResumableAnswer(mark).prepareReread()).toBe(false);
    const stuck = new ResumableAnswer(mark);
    for (const expected of [true, false]) {
      for (const chunk of answer.slice(0, 3)) stuck.unseenPart(chunk);
      expect(stuck.prepareReread()).toBe(expected);
    }
    const cutOften = new ResumableAnswer(mark);
    const rereads = Array.from({ length: 30 }, (_, count) => {
      cutOften.unseenPart({ type: "text-start", id: "t" });
      cutOften.unseenPart({ type: "text-delta", id: "t", delta: "x".repeat(count + 1) });
      return cutOften.prepareReread();
    });
    expect(rereads.filter(Boolean)).toHaveLength(20);
    const called = new ResumableAnswer(mark);
    called.unseenPart(call);
    expect(called.prepareReread()).toBe(false);
  });
});
