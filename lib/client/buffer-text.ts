// Text held back for a moment and given on in larger pieces, so that a page draws it ten times a second and not a
// hundred. Knows nothing of connections.
import type { ChatEvent } from "./chat-events";

export type TextBuffer = {
  /** So many pieces are given on at once. Default: no limit. */
  pieces?: number;
  /** No piece waits longer than this. */
  intervalMs: number;
};

/**
 * The same events in the same order, with adjacent texts joined. Everything else goes out at once, behind the text that
 * came before it; so do the end, an error and the reader's leaving: no text is ever lost to the buffer.
 */
export async function* bufferText(
  events: AsyncGenerator<ChatEvent, void>,
  { pieces = Number.POSITIVE_INFINITY, intervalMs }: TextBuffer,
): AsyncGenerator<ChatEvent, void> {
  let held = "";
  let count = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let due: Promise<"due"> | undefined;
  const flush = function* (): Generator<ChatEvent> {
    clearTimeout(timer);
    due = undefined;
    const delta = held;
    held = "";
    count = 0;
    if (delta) yield { type: "text", delta };
  };
  try {
    let coming = settle(events.next());
    for (;;) {
      const arrived = due ? await Promise.race([coming, due]) : await coming;
      if (arrived === "due") {
        yield* flush();
        continue;
      }
      if ("error" in arrived) {
        yield* flush();
        throw arrived.error;
      }
      const { done, value } = arrived.result;
      if (done) return yield* flush();
      if (value.type === "text") {
        held += value.delta;
        count += 1;
        due ??= new Promise((resolve) => {
          timer = setTimeout(() => resolve("due"), intervalMs);
        });
        if (count >= pieces) yield* flush();
      } else {
        yield* flush();
        yield value;
      }
      coming = settle(events.next());
    }
  } finally {
    clearTimeout(timer);
    await events.return();
  }
}

/** As a value: while the reader is away a rejection would have nobody to see it. */
function settle<T>(coming: Promise<T>): Promise<{ result: T } | { error: unknown }> {
  return coming.then(
    (result) => ({ result }),
    (error: unknown) => ({ error }),
  );
}
