// GET /api/health/stream: ten timed events through the door of every stream (docs/protocol.md §5). Who reads them as they
// are sent has nothing on the way that buffers. Open to all, because it tells nothing.
import { setTimeout as sleep } from "node:timers/promises";
import { withClientStream } from "@/lib/client-streams";
import { env } from "@/lib/env";
import { AppError } from "@/lib/errors";
import { route } from "@/lib/http";
import { admit } from "@/lib/route-costs";
import { eventStreamHeaders, formatFrame } from "@/lib/sse";

export const dynamic = "force-dynamic";

const events = 10;
/** Longer than networks gather packets for, and all ten take less than a second. */
const gapMs = 100;
/** At a time, in this process: each costs a socket and ten timers. */
const maxRunning = 100;
let running = 0;

/** Sends `{index, elapsedMs}` ten times, then ends. Ten events fit into any socket, so a reader that stalls holds none open. */
export const GET = route(async (request) => {
  await admit(request);
  if (running >= maxRunning)
    throw new AppError("rate_limited", "Too many of these tests are running. Try again in a second.", {
      retryAfter: 1,
    });
  return withClientStream(request, null, async (stream) => {
    running += 1;
    stream.own({
      close: () => {
        running -= 1;
      },
    });
    const startedMs = performance.now();
    const elapsedMs = () => performance.now() - startedMs;
    let index = 0;
    const body = stream.events({
      heartbeatMs: env().HEARTBEAT_MS,
      next: async () => {
        if (index === events) return null;
        // On a schedule, so that late timers do not add up.
        const waitMs = index * gapMs - elapsedMs();
        if (waitMs > 0) await sleep(waitMs);
        const data = JSON.stringify({ index, elapsedMs: Math.round(elapsedMs()) });
        index += 1;
        return formatFrame({ data });
      },
    });
    return new Response(body, { headers: eventStreamHeaders });
  });
});
