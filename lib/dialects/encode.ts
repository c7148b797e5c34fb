// Encodes batches of logged chunks as blocks of one stream: numbering, resume cursor, trailer.
// Pure.
import { formatFrame, type Layout } from "@/lib/sse";
import { isTerminal, type LoggedChunk } from "@/lib/turn/chunks";
import { type Cursor, formatCursor } from "@/lib/turn/cursor";
import type { TurnContext } from "@/lib/turn/turn-context";
import type { Dialect, Pacing } from "./dialect";

/** Where to start reading the log for this cursor: the cursor's own chunk may have frames left. */
export function readFromSeq(dialect: Dialect, cursor: Cursor | null): number {
  if (!cursor || dialect.stateful) return 0;
  return Math.max(0, cursor.seq - 1);
}

/**
 * Encodes one reader's batches in order, one block per frame. Frames up to the cursor are dropped,
 * so a batch may yield none.
 */
export function batchEncoder(
  dialect: Dialect,
  context: TurnContext,
  cursor: Cursor | null,
  pacing: Pacing = {},
  layout: Layout = "standard",
): (batch: LoggedChunk[]) => string[] {
  const { turnId } = context;
  const encode = dialect.encoder(context, pacing);
  const isAfterCursor = (seq: number, n: number) => !cursor || seq > cursor.seq || (seq === cursor.seq && n > cursor.n);
  const { afterFrame = -1 } = pacing;
  let frames = 0;
  return (batch) => {
    const blocks: string[] = [];
    for (const logged of batch) {
      let n = 0;
      for (const { at = { seq: logged.seq, n: n++ }, event, data } of encode(logged))
        if (frames++ > afterFrame && isAfterCursor(at.seq, at.n))
          blocks.push(formatFrame({ event, data, id: formatCursor({ turnId, ...at }) }, layout));
      if (dialect.trailer && isTerminal(logged.chunk) && isAfterCursor(logged.seq, n - 1))
        blocks.push(formatFrame({ data: dialect.trailer }, layout));
    }
    return blocks;
  };
}
