// Buffers text briefly and emits larger pieces, so that a page renders ten times a second and not a
// hundred. Knows nothing of connections.
import type { ChatEvent } from "./chat-events.ts";

export type TextBuffer = {
  /** Flush after this many pieces. Default: no limit. */
  pieces?: number;
  /** Maximum time a piece is held. */
  intervalMs: number;
};

/**
 * The same events in order, adjacent texts joined. Any other event flushes the buffer and passes
 * immediately; so do the end, an error and the reader's leaving: no text is lost.
 */
export async function* bufferText(
  events: AsyncGenerator<ChatEvent, void>,
  { pieces = Number.POSITIVE_INFINITY, intervalMs }: TextBuffer,
): AsyncGenerator<ChatEvent, void> {
  let buffered = "";
  let count = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let due: Promise<"due"> | undefined;
  const flush = function* (): Generator<ChatEvent> {
    clearTimeout(timer);
    due = undefined;
    const delta = buffered;
    buffered = "";
    count = 0;
    if (delta) yield { type: "text", delta };
  };
  try {
    let pendingRead = settle(events.next());
    for (;;) {
      const arrived = due ? await Promise.race([pendingRead, due]) : await pendingRead;
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
        buffered += value.delta;
        count += 1;
        due ??= new Promise((resolve) => {
          timer = setTimeout(() => resolve("due"), intervalMs);
        });
        if (count >= pieces) yield* flush();
      } else {
        yield* flush();
        yield value;
      }
      pendingRead = settle(events.next());
    }
  } finally {
    clearTimeout(timer);
    await events.return();
  }
}

/** As a value: a rejection while the reader is busy would be unhandled. */
function settle<T>(coming: Promise<T>): Promise<{ result: T } | { error: unknown }> {
  return coming.then(
    (result) => ({ result }),
    (error: unknown) => ({ error }),
  );
}
