// Batches of logged chunks to the blocks of one stream: numbering, the cursor of a reader that resumes, the trailer. Pure.
import { formatFrame } from "@/lib/sse";
import { isTerminal, type LoggedChunk } from "@/lib/turn/chunks";
import { type Cursor, formatCursor } from "@/lib/turn/cursor";
import type { Dialect } from "./contract";

/** From where the log must be read for a reader at this cursor: the chunk of the cursor itself may have frames left. */
export function readFromSeq(dialect: Dialect, cursor: Cursor | null): number {
  if (!cursor || dialect.remembers) return 0;
  return Math.max(0, cursor.seq - 1);
}

/**
 * Encodes one reader's batches, in order. Frames at or before the cursor are left out. Returns "" when a batch has no
 * frame for this reader.
 */
export function batchEncoder(
  dialect: Dialect,
  turnId: string,
  cursor: Cursor | null,
): (batch: LoggedChunk[]) => string {
  const encode = dialect.encoder();
  const behind = (seq: number, n: number) => !cursor || seq > cursor.seq || (seq === cursor.seq && n > cursor.n);
  return (batch) => {
    let blocks = "";
    for (const logged of batch) {
      const frames = encode(logged);
      frames.forEach((frame, n) => {
        if (behind(logged.seq, n))
          blocks += formatFrame({ ...frame, id: formatCursor({ turnId, seq: logged.seq, n }) });
      });
      if (dialect.trailer && isTerminal(logged.chunk) && behind(logged.seq, frames.length - 1))
        blocks += formatFrame({ data: dialect.trailer });
    }
    return blocks;
  };
}
