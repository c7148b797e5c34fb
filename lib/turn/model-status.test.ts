import { expect, it } from "vitest";
import type { TurnChunk } from "./chunks";
import { foldChunks, unfoldParts } from "./fold";
import { generateStatus, isWaiting, ReasoningTimes, reasoningMs } from "./model-status";

/** Each chunk at its time, followed by the status that it causes. */
function withStatus(times: ReasoningTimes, chunks: [atMs: number, chunk: TurnChunk][]): TurnChunk[] {
  return chunks.flatMap(([atMs, chunk]) => [chunk, times.apply(chunk, () => atMs) ?? []].flat());
}

const durationsIn = (chunks: TurnChunk[]) =>
  chunks.flatMap((chunk) => (chunk.type === "data-reasoning" ? [chunk.data.durationMs] : []));

it("reports the reasoning time after the reasoning, and the message keeps it", async () => {
  const chunks = withStatus(new ReasoningTimes(), [
    [0, { type: "start-step" }],
    [100, { type: "reasoning-start", id: "r" }],
    [200, { type: "reasoning-delta", id: "r", delta: "Hm." }],
    [4_100, { type: "reasoning-end", id: "r" }],
    [4_100, { type: "text-start", id: "r" }],
    [9_000, { type: "text-end", id: "r" }],
  ]);
  expect(durationsIn(chunks)).toEqual([4_000]);
  const { parts } = await foldChunks(chunks);
  for (const each of [parts, (await foldChunks(unfoldParts(parts))).parts]) {
    const at = each.findIndex(({ type }) => type === "reasoning");
    expect(reasoningMs(each, at)).toBe(4_000);
  }
});

it("reports nothing for short reasoning", () => {
  const chunks: [number, TurnChunk][] = [
    [0, { type: "reasoning-start", id: "r" }],
    [999, { type: "reasoning-end", id: "r" }],
    [5_000, { type: "reasoning-end", id: "unknown" }],
  ];
  expect(withStatus(new ReasoningTimes(), chunks)).toEqual(chunks.map(([, chunk]) => chunk));
});

it("counts silent thinking before visible reasoning once", () => {
  const times = new ReasoningTimes();
  times.enter("thinking", 1_000);
  const chunks = withStatus(times, [
    [20_000, { type: "reasoning-start", id: "1" }],
    [21_000, { type: "reasoning-end", id: "1" }],
    [21_000, { type: "reasoning-start", id: "2" }],
    [24_000, { type: "reasoning-end", id: "2" }],
  ]);
  expect(durationsIn(chunks)).toEqual([20_000, 3_000]);
});

it("tells a waiting status from the default one", () => {
  expect(generateStatus("active").data).toEqual({ stage: "generate", label: "Generating response…", state: "active" });
  expect(generateStatus("active", "loading", 1.6).data).toEqual({
    ...{ stage: "generate", label: "The model is loading…", state: "active", sinceMs: 2 },
  });
  expect([generateStatus("active"), generateStatus("done")].map(({ data }) => isWaiting(data))).toEqual([false, false]);
  expect((["loading", "thinking"] as const).map((phase) => isWaiting(generateStatus("active", phase, 0).data))).toEqual(
    [true, true],
  );
});
