// Text that comes gathered (docs/protocol.md §2), given out evenly: in pieces over about the time until more is to come, as
// if it had come as it was written. Small deltas, and all else, pass as they come. Knows nothing of requests.
import type { TurnChunk } from "@/lib/turn/chunks";
import { joinDeltas } from "@/lib/turn/merge";
import type { PageEvents } from "./backoff";

type Delta = Extract<TurnChunk, { type: "text-delta" | "reasoning-delta" }>;

/** The page draws no more often than this. */
const stepMs = 50;
/** What comes after a longer pause was not gathered: it was away, and whoever waited for it is to see it. */
const longestMs = 500;
/** About a line. Less than that is no burst, however long it was in coming. */
const burstLength = 80;

/**
 * The same chunks in the same order, with long deltas in pieces. Nothing is held for longer than `longestMs`, nor when something
 * else than more of the same text follows, or the end, or an error. While the page is not in view nothing waits.
 */
export async function* evenly(
  source: AsyncIterator<TurnChunk>,
  { document = globalThis.document }: Pick<PageEvents, "document"> = {},
): AsyncGenerator<TurnChunk, void> {
  let coming: Promise<IteratorResult<TurnChunk>> | undefined;
  let held: Delta | null = null;
  /** When the last of what is held is to be out. */
  let dueMs = 0;
  /** When the delta before came; nothing is known of the first one of a text. */
  let cameMs: number | undefined;
  try {
    for (;;) {
      if (held) {
        const leftMs = document?.visibilityState === "hidden" ? 0 : dueMs - performance.now();
        const [piece, rest] = cut(held, leftMs <= stepMs ? 1 : stepMs / leftMs);
        yield piece;
        held = rest;
      }
      coming ??= source.next();
      const next: IteratorResult<TurnChunk> | "late" = held ? await within(coming, stepMs) : await coming;
      if (next === "late") continue;
      coming = undefined;
      const chunk: TurnChunk | null = next.done ? null : next.value;
      const nowMs = performance.now();
      const gapMs = nowMs - (cameMs ?? nowMs);
      cameMs = chunk && isDelta(chunk) ? nowMs : undefined;
      const joined: TurnChunk | null = held && chunk ? joinDeltas(held, chunk) : chunk;
      if (held && (!joined || !isDelta(joined))) yield held;
      held = null;
      if (!chunk) return;
      const text: TurnChunk = joined ?? chunk;
      if (isDelta(text) && text.delta.length >= burstLength && gapMs <= longestMs) {
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

/** The first `share` of it, and the rest if there is any. */
function cut(delta: Delta, share: number): [Delta, Delta | null] {
  const text = delta.delta;
  let end = Math.ceil(text.length * share);
  // Half a surrogate pair is not a character.
  if ((text.charCodeAt(end - 1) & 0xfc00) === 0xd800) end += 1;
  if (end >= text.length) return [delta, null];
  return [
    { ...delta, delta: text.slice(0, end) },
    { ...delta, delta: text.slice(end) },
  ];
}

async function within<T>(promise: Promise<T>, ms: number): Promise<T | "late"> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(resolve, ms, "late");
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
