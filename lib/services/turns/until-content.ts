// Waits for an answer's first content or its failure, so that a request that fails at once gets an
// HTTP status.
import { orTimeout, timedOut } from "@/lib/bounded-wait";
import type { LogReader } from "@/lib/log/durable-log";
import type { LoggedChunk, TurnChunk, TurnError } from "@/lib/turn/chunks";

/**
 * Reads until the first content or the failure, but no longer than a client waits for its first
 * byte. The returned reader replays what was read.
 */
export async function untilContent(
  source: LogReader,
  waitMs: number,
): Promise<{ reader: LogReader; failure?: TurnError | undefined }> {
  const read: (LoggedChunk[] | null)[] = [];
  const untilMs = performance.now() + waitMs;
  let pending: ReturnType<LogReader["next"]> | null = null;
  let failure: TurnError | undefined;
  for (let content = false; !content && !failure; ) {
    pending ??= source.next();
    const batch = await orTimeout(pending, untilMs - performance.now());
    if (batch === timedOut) break;
    pending = null;
    read.push(batch);
    if (!batch) break;
    for (const { chunk } of batch) {
      content ||= isContent(chunk);
      if (!content && chunk.type === "data-turn") failure = chunk.data.error ?? failure;
    }
  }
  const next = async () => {
    const batch = read.shift();
    if (batch !== undefined) return batch;
    const waiting = pending;
    pending = null;
    return waiting ?? source.next();
  };
  return { reader: { next, close: () => source.close() }, failure };
}

function isContent({ type }: TurnChunk): boolean {
  return !type.startsWith("data-") && !["start", "start-step", "message-metadata", "error"].includes(type);
}
