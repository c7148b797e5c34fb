// Smooths gathered text (docs/protocol.md §2): emits it in pieces over about the time until more is
// due, as if it had arrived as written. Small deltas and everything else pass through. Knows
// nothing of requests.
import type { TurnChunk } from "../../../lib/turn/chunks.ts";
import { joinDeltas } from "../../../lib/turn/merge.ts";
import type { PageEvents } from "./backoff.ts";
import { burstLength, drawMs, maxHoldMs } from "./pacing.ts";

type Delta = Extract<TurnChunk, { type: "text-delta" | "reasoning-delta" }>;

/**
 * The same chunks in order, long deltas split. Nothing is held longer than `maxHoldMs`, nor once
 * other chunks, the end or an error follow. While the page is hidden nothing waits.
 */
export async function* smoothText(
  source: AsyncIterator<TurnChunk>,
  { document = globalThis.document }: Pick<PageEvents, "document"> = {},
): AsyncGenerator<TurnChunk, void> {
  let pendingRead: Promise<IteratorResult<TurnChunk>> | undefined;
  let held: Delta | null = null;
  /** Deadline for the held text. */
  let dueMs = 0;
  /** Arrival time of the previous delta; undefined for the first of a text. */
  let arrivedMs: number | undefined;
  try {
    for (;;) {
      if (held) {
        const leftMs = document?.visibilityState === "hidden" ? 0 : dueMs - performance.now();
        const [piece, rest] = splitDelta(held, leftMs <= drawMs ? 1 : drawMs / leftMs);
        yield piece;
        held = rest;
      }
      pendingRead ??= source.next();
      const next: IteratorResult<TurnChunk> | "late" = held ? await orTimeout(pendingRead, drawMs) : await pendingRead;
      if (next === "late") continue;
      pendingRead = undefined;
      const chunk: TurnChunk | null = next.done ? null : next.value;
      const nowMs = performance.now();
      const gapMs = nowMs - (arrivedMs ?? nowMs);
      arrivedMs = chunk && isDelta(chunk) ? nowMs : undefined;
      const joined: TurnChunk | null = held && chunk ? joinDeltas(held, chunk) : chunk;
      if (held && (!joined || !isDelta(joined))) yield held;
      held = null;
      if (!chunk) return;
      const text: TurnChunk = joined ?? chunk;
      if (isDelta(text) && text.delta.length >= burstLength && gapMs <= maxHoldMs) {
        held = text;
        dueMs = nowMs + gapMs;
      } else yield text;
    }
  } catch (error) {
    if (held) yield held;
    throw error;
  } finally {
    await source.return?.();
  }
}

function isDelta(chunk: TurnChunk): chunk is Delta {
  return chunk.type === "text-delta" || chunk.type === "reasoning-delta";
}

/** Splits off the first `share`; the rest is null if empty. */
function splitDelta(delta: Delta, share: number): [Delta, Delta | null] {
  const text = delta.delta;
  let end = Math.ceil(text.length * share);
  // Do not split a surrogate pair.
  if ((text.charCodeAt(end - 1) & 0xfc00) === 0xd800) end += 1;
  if (end >= text.length) return [delta, null];
  return [
    { ...delta, delta: text.slice(0, end) },
    { ...delta, delta: text.slice(end) },
  ];
}

async function orTimeout<T>(promise: Promise<T>, ms: number): Promise<T | "late"> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(resolve, ms, "late");
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
