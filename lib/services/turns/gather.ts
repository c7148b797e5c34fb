// Gathering (docs/protocol.md §2), on a reader's request: while text arrives faster than anyone
// reads, everything within a short interval becomes one delta, since a frame's overhead exceeds the
// few words in it. Log, turn and other readers are unaffected. The only place where a reader waits
// for something already stored.
import { z } from "zod";
import { orTimeout, timedOut } from "@/lib/bounded-wait";
import type { LogReader } from "@/lib/log/durable-log";
import type { LoggedChunk, TurnChunk } from "@/lib/turn/chunks";
import { compactChunks } from "@/lib/turn/merge";
import { gatherFromCharactersPerSecond, maxGatheredLength, maxGatherMs } from "@/lib/turn/pacing";

const gatherMs = z.coerce.number().int().min(1).max(maxGatherMs);

export const gatherHeader = z.object({
  "X-Gather-Ms": gatherMs.optional().describe("Maximum time to batch text that arrives faster than anyone reads."),
});

/**
 * 0 disables gathering. So does any invalid value: the header is a hint, and the stream is correct
 * without it.
 */
export function gatherMsOf(request: Request): number {
  const header = request.headers.get("x-gather-ms");
  // A failed schema parse of a missing header would cost more than all other headers.
  return header === null ? 0 : (gatherMs.safeParse(header).data ?? 0);
}

/**
 * Wraps a reader to join deltas; a joined chunk has the seq of its last. While text flows fast, a
 * delta is held until `gatherMs` after the previous one was returned. Any other chunk, and the
 * first delta of each part, flushes immediately. The reader must start right after what its client
 * has: joined deltas cannot be split again.
 */
export function gatherDeltas(reader: LogReader, gatherMs: number): LogReader {
  /** The pending read, which may outlast the interval. */
  let pendingRead: Promise<LoggedChunk[] | null> | undefined;
  let returnedMs = Number.NEGATIVE_INFINITY;
  /** Characters in the last second, exponentially decayed. */
  let flow = 0;
  let flowMs = 0;

  const isFast = (batch: LoggedChunk[]): boolean => {
    const nowMs = performance.now();
    flow *= Math.exp((flowMs - nowMs) / 1_000);
    flowMs = nowMs;
    for (const { chunk } of batch) flow = isDelta(chunk) ? flow + lengthOf(chunk) : 0;
    return flow > gatherFromCharactersPerSecond;
  };

  return {
    async next() {
      let held: LoggedChunk[] = [];
      for (;;) {
        pendingRead ??= reader.next();
        const batch =
          held.length === 0
            ? await pendingRead
            : await orTimeout(pendingRead, returnedMs + gatherMs - performance.now());
        if (batch === timedOut) break;
        pendingRead = batch ? undefined : pendingRead;
        if (!batch) break;
        held = compactChunks([...held, ...batch]);
        const [first, ...more] = held;
        const mayWait = first && more.length === 0 && isDelta(first.chunk) && lengthOf(first.chunk) < maxGatheredLength;
        if (!isFast(batch) || !mayWait) break;
      }
      returnedMs = performance.now();
      return held.length > 0 ? held : null;
    },
    close: () => reader.close(),
  };
}

function isDelta(chunk: TurnChunk): boolean {
  return lengthOf(chunk) > 0;
}

function lengthOf(chunk: TurnChunk): number {
  if (chunk.type === "text-delta" || chunk.type === "reasoning-delta") return chunk.delta.length;
  return chunk.type === "tool-input-delta" ? chunk.inputTextDelta.length : 0;
}
