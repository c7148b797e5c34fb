// GET /api/health/stream: ten timed events through the same code as every stream (docs/protocol.md
// §5). A client that receives them on schedule has no buffering proxy in its path. Public: it
// reveals nothing.
import { setTimeout as sleep } from "node:timers/promises";
import { withClientStream } from "@/lib/client-streams";
import { env } from "@/lib/env";
import { AppError } from "@/lib/errors";
import { route } from "@/lib/http";
import { admit } from "@/lib/route-costs";
import { eventStreamHeaders, formatFrame } from "@/lib/sse";

export const dynamic = "force-dynamic";

const events = 10;
/** Longer than networks coalesce packets; all ten still take less than a second. */
const gapMs = 100;
/** Per process: each running test holds a socket and a timer. */
const maxRunning = 100;
let running = 0;

/**
 * Sends `{index, elapsedMs}` ten times, then ends. Ten events fit any socket buffer, so a stalled
 * reader holds nothing.
 */
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
        // Against a fixed schedule, so that late timers do not add up.
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
