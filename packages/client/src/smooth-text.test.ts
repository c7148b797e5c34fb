import fc from "fast-check";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { TurnChunk } from "@/lib/turn/chunks";
import { compactChunks } from "@/lib/turn/merge";
import { smoothText } from "./smooth-text.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

type Coming = { afterMs: number; chunk: TurnChunk };

async function* arriving(script: Coming[], error?: Error): AsyncGenerator<TurnChunk> {
  for (const { afterMs, chunk } of script) {
    if (afterMs > 0) await new Promise((resolve) => setTimeout(resolve, afterMs));
    yield chunk;
  }
  if (error) throw error;
}

class Page extends EventTarget {
  visibilityState = "visible";
}

/** All output with its time. Ends with `over` after that time, even if more is pending. */
async function read(script: Coming[], { document = new Page(), error }: { document?: Page; error?: Error } = {}) {
  const seen: { chunk: TurnChunk; atMs: number }[] = [];
  const beganMs = performance.now();
  const ended = (async () => {
    for await (const chunk of smoothText(arriving(script, error), { document }))
      seen.push({ chunk, atMs: performance.now() - beganMs });
  })().catch((thrown: unknown) => thrown);
  await vi.advanceTimersByTimeAsync(script.reduce((sum, { afterMs }) => sum + afterMs, 0) + 1_000);
  return { seen, thrown: await ended };
}

const delta = (text: string, id = "t"): TurnChunk => ({ type: "text-delta", id, delta: text });
const end: TurnChunk = { type: "text-end", id: "t" };
const burst = "words ".repeat(40);
const textOf = (chunks: TurnChunk[]) =>
  chunks.map((chunk) => (chunk.type === "text-delta" ? chunk.delta : "")).join("");

it("spreads a burst in pieces until about when the next one arrives", async () => {
  const script = [0, 400, 400, 400].map((afterMs) => ({ afterMs, chunk: delta(burst) }));
  const { seen } = await read([...script, { afterMs: 400, chunk: end }]);
  const pieces = seen.filter(({ chunk }) => chunk.type === "text-delta");
  expect(textOf(pieces.map(({ chunk }) => chunk))).toBe(burst.repeat(4));
  // The first one passes whole: it is not yet known when more will come.
  expect(pieces[0]).toEqual({ chunk: delta(burst), atMs: 0 });
  const gapsMs = pieces.slice(2).map(({ atMs }, index) => atMs - (pieces[index + 1]?.atMs ?? 0));
  expect(Math.max(...gapsMs)).toBeLessThanOrEqual(50);
  const lengths = pieces.slice(1).map(({ chunk }) => textOf([chunk]).length);
  expect(Math.max(...lengths)).toBeLessThan(burst.length / 4);
  expect(pieces.at(-1)?.atMs).toBeLessThan(1_600);
});

it.each<[string, TurnChunk]>([
  ["the end of the text", end],
  ["the end of the turn", { type: "finish" }],
  ["a stop", { type: "abort", reason: "stopped" }],
  ["another text", delta("more", "u")],
])("flushes everything at %s", async (_, chunk) => {
  const { seen } = await read([
    { afterMs: 0, chunk: delta(burst) },
    { afterMs: 400, chunk: delta(burst) },
    { afterMs: 10, chunk },
  ]);
  expect(seen.at(-1)).toEqual({ chunk, atMs: 410 });
  expect(textOf(seen.slice(0, -1).map((one) => one.chunk))).toBe(burst.repeat(2));
});

it("flushes everything before an error, and passes it on", async () => {
  const error = new Error("gone");
  const { seen, thrown } = await read(
    [
      { afterMs: 0, chunk: delta(burst) },
      { afterMs: 400, chunk: delta(burst) },
    ],
    { error },
  );
  expect(textOf(seen.map(({ chunk }) => chunk))).toBe(burst.repeat(2));
  expect(seen.at(-1)?.atMs).toBe(400);
  expect(thrown).toBe(error);
});

it.each([
  ["small deltas, however slow", 300, "words "],
  ["bursts after long gaps", 5_000, burst],
])("passes %s through unchanged", async (_, afterMs, text) => {
  const script = Array.from({ length: 5 }, () => ({ afterMs, chunk: delta(text) }));
  const { seen } = await read(script);
  expect(seen).toEqual(script.map(({ chunk }, index) => ({ chunk, atMs: (index + 1) * afterMs })));
});

it("does not pace while the page is hidden", async () => {
  const document = new Page();
  document.visibilityState = "hidden";
  const script = Array.from({ length: 5 }, () => ({ afterMs: 400, chunk: delta(burst) }));
  const { seen } = await read(script, { document });
  expect(seen.length).toBe(5);
});

it("cleans up its timer and source when its reader leaves", async () => {
  const source = arriving(Array.from({ length: 5 }, () => ({ afterMs: 400, chunk: delta(burst) })));
  const chunks = smoothText(source, { document: new Page() });
  const first = chunks.next();
  await vi.advanceTimersByTimeAsync(400);
  await first;
  const left = chunks.return();
  await vi.advanceTimersByTimeAsync(400);
  await left;
  expect(vi.getTimerCount()).toBe(0);
  expect(await source.next()).toEqual({ done: true, value: undefined });
});

const comings: fc.Arbitrary<Coming[]> = fc.array(
  fc.record({
    afterMs: fc.integer({ min: 0, max: 800 }),
    chunk: fc.oneof(
      { weight: 5, arbitrary: fc.string({ unit: "binary", minLength: 1, maxLength: 400 }).map((text) => delta(text)) },
      {
        weight: 1,
        arbitrary: fc.constant<TurnChunk>({ type: "reasoning-delta", id: "r", delta: "thought ".repeat(20) }),
      },
      { weight: 1, arbitrary: fc.constant(end) },
    ),
  }),
  { maxLength: 30 },
);

it("changes only the chunking, for any timing", async () => {
  const joined = (chunks: TurnChunk[]) =>
    compactChunks(chunks.map((chunk, index) => ({ seq: index + 1, chunk, json: "" }))).map(({ chunk }) => chunk);
  await fc.assert(
    fc.asyncProperty(comings, async (script) => {
      const { seen } = await read(script);
      expect(joined(seen.map(({ chunk }) => chunk))).toEqual(joined(script.map(({ chunk }) => chunk)));
      for (const { chunk } of seen) expect(textOf([chunk])).toBe(textOf([chunk]).toWellFormed());
    }),
  );
});
