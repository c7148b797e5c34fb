// Gathering (docs/protocol.md §2), for a reader that asks for it: while text comes faster than anybody reads, what comes
// within a moment is one delta, because a frame costs its reader more bytes than the few words in it. The log, the turn and
// other readers know nothing of this. The only place where a reader waits for something that is stored.
import { z } from "zod";
import type { LogReader } from "@/lib/log/contract";
import type { LoggedChunk, TurnChunk } from "@/lib/turn/chunks";
import { compactChunks } from "@/lib/turn/merge";

/** What a reader may ask for. More than a second would be felt. */
const gatherMs = z.coerce.number().int().min(1).max(1_000);

export const gatherHeader = z.object({
  "X-Gather-Ms": gatherMs.optional().describe("So long text may be gathered that flows faster than anybody reads."),
});

/** 0: do not gather. So is anything that makes no sense: it is a wish, and the stream is right without. */
export function gatherMsOf(request: Request): number {
  const wish = request.headers.get("x-gather-ms");
  // The schema's failure for nothing would cost more than the rest of the request's headers.
  return wish === null ? 0 : (gatherMs.safeParse(wish).data ?? 0);
}

/** Characters a second, some twenty times what a person reads. Below it every delta goes at once. */
const fastFlow = 500;
/** Beside so much text the rest of a frame is nothing: more need not be waited for. */
const enoughText = 2_048;

/**
 * The same chunks with deltas joined: a joined one has the seq of the last it holds. A delta waits until `gatherMs` after
 * the one before was handed out, and only when text flows fast. Whatever is no delta goes at once, with all before
 * it; so does the first delta of each part. The reader must begin right behind what its client has: what is joined cannot
 * be parted.
 */
export function gathered(reader: LogReader, gatherMs: number): LogReader {
  /** Asked for, and perhaps not there when the time is up. */
  let coming: Promise<LoggedChunk[] | null> | undefined;
  let givenMs = Number.NEGATIVE_INFINITY;
  /** Characters of the last second, older ones counting less. */
  let flow = 0;
  let flowMs = 0;

  const isFast = (batch: LoggedChunk[]): boolean => {
    const nowMs = performance.now();
    flow *= Math.exp((flowMs - nowMs) / 1_000);
    flowMs = nowMs;
    for (const { chunk } of batch) flow = isDelta(chunk) ? flow + lengthOf(chunk) : 0;
    return flow > fastFlow;
  };

  return {
    async next() {
      let held: LoggedChunk[] = [];
      for (;;) {
        coming ??= reader.next();
        const batch = held.length === 0 ? await coming : await within(coming, givenMs + gatherMs - performance.now());
        if (batch === "late") break;
        coming = batch ? undefined : coming;
        if (!batch) break;
        held = compactChunks([...held, ...batch]);
        const [first, ...more] = held;
        const mayWait = first && more.length === 0 && isDelta(first.chunk) && lengthOf(first.chunk) < enoughText;
        if (!isFast(batch) || !mayWait) break;
      }
      givenMs = performance.now();
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

async function within<T>(promise: Promise<T>, ms: number): Promise<T | "late"> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(resolve, ms, "late");
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
