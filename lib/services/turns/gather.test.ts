import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { LogReader } from "@/lib/log/durable-log";
import type { LoggedChunk, TurnChunk } from "@/lib/turn/chunks";
import { foldChunks } from "@/lib/turn/fold";
import { gatherDeltas, gatherMsOf } from "./gather";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const gatherMs = 400;

/** A reader whose batches the test controls; the terminal ends it, like every log. */
function scriptedReader() {
  const queue: (LoggedChunk[] | null)[] = [];
  let wake: (() => void) | null = null;
  let closed = false;
  const give = (batch: LoggedChunk[] | null) => {
    queue.push(batch);
    if (batch?.at(-1)?.chunk.type === "finish") queue.push(null);
    wake?.();
  };
  const reader: LogReader = {
    async next() {
      while (queue.length === 0)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      return closed ? null : (queue.shift() ?? null);
    },
    close() {
      closed = true;
      give(null);
    },
  };
  return { reader, give };
}

type Given = { batch: LoggedChunk[]; atMs: number };

/** Reads continuously and records what arrived when. */
function reading(reader: LogReader) {
  const given: Given[] = [];
  const ended = (async () => {
    for (let batch = await reader.next(); batch; batch = await reader.next())
      given.push({ batch, atMs: performance.now() });
  })();
  return { given, ended };
}

const logged = (chunks: TurnChunk[], from = 1): LoggedChunk[] =>
  chunks.map((chunk, index) => ({ seq: from + index, chunk, json: JSON.stringify(chunk) }));
const delta = (text: string): TurnChunk => ({ type: "text-delta", id: "t", delta: text });
const head: TurnChunk[] = [{ type: "start", messageId: "m" }, { type: "start-step" }, { type: "text-start", id: "t" }];
const tail: TurnChunk[] = [{ type: "text-end", id: "t" }, { type: "finish-step" }, { type: "finish" }];

/** `count` deltas of `text`, one every 25 ms after the head; returns the next seq. */
async function flow(give: (batch: LoggedChunk[]) => void, text: string, count: number, from: number) {
  for (let n = 0; n < count; n++) {
    give(logged([delta(text)], from + n));
    await vi.advanceTimersByTimeAsync(25);
  }
  return from + count;
}

describe("a fast stream", () => {
  it("arrives in joined deltas, none later than requested, the first at once", async () => {
    const { reader, give } = scriptedReader();
    const { given, ended } = reading(gatherDeltas(reader, gatherMs));
    give(logged(head));
    const beganMs = performance.now();
    await vi.advanceTimersByTimeAsync(1_000);
    const next = await flow(give, "x".repeat(50), 200, 4);
    give(logged(tail, next));
    await ended;
    const deltas = given.filter(({ batch }) => batch[0]?.chunk.type === "text-delta");
    expect(deltas[0]).toMatchObject({ atMs: beganMs + 1_000, batch: [{ seq: 4 }] });
    // Five seconds: a few single deltas before it counts as fast, then one every 400 ms.
    expect(deltas.length).toBeLessThan(30);
    const gapsMs = deltas.map(({ atMs }, index) => atMs - (deltas[index - 1]?.atMs ?? atMs));
    expect(Math.max(...gapsMs)).toBeLessThanOrEqual(gatherMs);
    expect(given.at(-1)?.batch.at(-1)?.chunk.type).toBe("finish");
  });

  it("is flushed at once by any chunk that is not a delta", async () => {
    const { reader, give } = scriptedReader();
    const { given } = reading(gatherDeltas(reader, gatherMs));
    give(logged(head));
    const next = await flow(give, "x".repeat(100), 40, 4);
    give(logged([delta("held")], next));
    await vi.advanceTimersByTimeAsync(1);
    expect(JSON.stringify(given)).not.toContain("held");
    give(logged(tail, next + 1));
    await vi.advanceTimersByTimeAsync(0);
    expect(given.at(-1)?.batch.map(({ chunk }) => chunk.type)).toEqual(["text-delta", ...tail.map(({ type }) => type)]);
  });

  it("flushes the end of a text together with the start of the next, however long", async () => {
    const { reader, give } = scriptedReader();
    const { given } = reading(gatherDeltas(reader, gatherMs));
    give(logged(head));
    const next = await flow(give, "x".repeat(100), 40, 4);
    const second: TurnChunk = { type: "text-delta", id: "u", delta: "y".repeat(1_000) };
    give(logged([{ type: "text-end", id: "t" }, { type: "text-start", id: "u" }, second], next));
    await vi.advanceTimersByTimeAsync(0);
    expect(given.at(-1)?.batch.at(-1)?.chunk).toEqual(second);
  });

  it("flushes its buffer when its reader closes it", async () => {
    const { reader, give } = scriptedReader();
    const gathering = gatherDeltas(reader, gatherMs);
    const { given, ended } = reading(gathering);
    give(logged(head));
    const next = await flow(give, "x".repeat(100), 40, 4);
    give(logged([delta("held")], next));
    await vi.advanceTimersByTimeAsync(1);
    gathering.close();
    await ended;
    expect(JSON.stringify(given.at(-1)?.batch)).toContain("held");
    expect(vi.getTimerCount()).toBe(0);
  });

  it("is not buffered when its deltas are already large", async () => {
    const { reader, give } = scriptedReader();
    const { given } = reading(gatherDeltas(reader, gatherMs));
    give(logged(head));
    const before = await flow(give, "x".repeat(3_000), 10, 4);
    expect(given.flatMap(({ batch }) => batch).length).toBe(before - 1);
  });
});

it("passes a slow stream through: every delta at once, as stored", async () => {
  const { reader, give } = scriptedReader();
  const { given, ended } = reading(gatherDeltas(reader, gatherMs));
  give(logged(head));
  for (let n = 0; n < 40; n++) {
    give(logged([delta("word ")], 4 + n));
    const nowMs = performance.now();
    await vi.advanceTimersByTimeAsync(20);
    expect(given.at(-1)).toMatchObject({ atMs: nowMs, batch: [{ seq: 4 + n }] });
  }
  give(logged(tail, 44));
  await ended;
});

const turns = fc.array(
  fc.record({
    kind: fc.constantFrom("text", "text", "text", "reasoning", "other"),
    text: fc.string({ unit: "grapheme", minLength: 1, maxLength: 200 }),
    /** Whether it starts a batch, and that batch's delay after the previous one. */
    first: fc.boolean(),
    afterMs: fc.integer({ min: 0, max: 900 }),
  }),
  { minLength: 1, maxLength: 60 },
);

type Piece = { kind: string; text: string; first: boolean; afterMs: number };

function chunkOf({ kind, text }: Piece): TurnChunk {
  if (kind === "text") return delta(text);
  if (kind === "reasoning") return { type: "reasoning-delta", id: "r", delta: text };
  return { type: "data-status", id: "s", data: { stage: "generate", label: text, state: "active" } };
}

it("folds to the same message for any timing, and resumes from any position", async () => {
  await fc.assert(
    fc.asyncProperty(turns, async (pieces) => {
      const open: TurnChunk[] = [...head, { type: "reasoning-start", id: "r" }];
      const close: TurnChunk[] = [{ type: "reasoning-end", id: "r" }, ...tail];
      const all = logged([...open, ...pieces.map(chunkOf), ...close]);
      const { reader, give } = scriptedReader();
      const { given, ended } = reading(gatherDeltas(reader, gatherMs));
      give(all.slice(0, open.length));
      let batch: LoggedChunk[] = [];
      for (const [index, { first, afterMs }] of pieces.entries()) {
        if (first && batch.length > 0) {
          give(batch);
          batch = [];
          await vi.advanceTimersByTimeAsync(afterMs);
        }
        batch.push(all[open.length + index] as LoggedChunk);
      }
      give([...batch, ...all.slice(open.length + pieces.length)]);
      await ended;

      const out = given.flatMap((one) => one.batch);
      const seqs = out.map(({ seq }) => seq);
      expect(seqs).toEqual([...new Set(seqs)].sort((x, y) => x - y));
      expect(seqs.at(-1)).toBe(all.length);
      for (const { json, chunk } of out) expect(JSON.parse(json)).toEqual(chunk);
      const whole = await foldChunks(all.map(({ chunk }) => chunk));
      for (const cut of [0, Math.floor(out.length / 2), out.length]) {
        const got = out.slice(0, cut);
        const rest = all.filter(({ seq }) => seq > (got.at(-1)?.seq ?? 0));
        expect(await foldChunks([...got, ...rest].map(({ chunk }) => chunk))).toEqual(whole);
      }
    }),
  );
});

it.each([
  ["400", 400],
  ["1000", 1_000],
  [undefined, 0],
  ["", 0],
  ["-1", 0],
  ["1001", 0],
  ["soon", 0],
])("reads the header %s as %d", (value, wanted) => {
  const headers: Record<string, string> = value === undefined ? {} : { "X-Gather-Ms": value };
  expect(gatherMsOf(new Request("http://test", { headers }))).toBe(wanted);
});
