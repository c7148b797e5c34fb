// Detects whether something between this page and the server buffers streams: runs the server's
// self-test and checks arrival times (docs/protocol.md §5). The page decides what to show.
import { z } from "zod";
import { badResponse, type Http, request } from "./request.ts";
import { StreamConnection } from "./stream-connection.ts";

/** One test event: when sent and when received, each by its own clock. */
type Arrival = { sentMs: number; arrivedMs: number };

const event = z.object({ elapsedMs: z.number() });
const eventsPerTest = 10;
/** The test takes a second. A longer delay is not a buffering proxy. */
const timeoutMs = 15_000;

/**
 * True if the events arrived within less than half the time in which they were sent: a network
 * delays events but does not bunch them.
 */
function arrivedTogether(arrivals: Arrival[]): boolean {
  const first = arrivals[0];
  const last = arrivals.at(-1);
  if (!first || !last) return false;
  return last.arrivedMs - first.arrivedMs < (last.sentMs - first.sentMs) / 2;
}

/**
 * Runs the test, and a second time if positive: a single stall of the network or the page looks the
 * same. Throws RequestError if the test cannot run, or the signal's reason.
 */
export async function findBuffering(http: Http, signal: AbortSignal): Promise<boolean> {
  return arrivedTogether(await listen(http, signal)) && arrivedTogether(await listen(http, signal));
}

async function listen(http: Http, signal: AbortSignal): Promise<Arrival[]> {
  // No resuming: a test that breaks off proves nothing.
  const line = new StreamConnection({ signal, wake: () => () => {}, firstByteMs: timeoutMs, silenceMs: timeoutMs });
  try {
    const response = await request(http, "/api/health/stream", { signal: line.signal, cache: "no-store" });
    const arrivals: Arrival[] = [];
    for await (const { data } of line.frames(response)) {
      arrivals.push({ sentMs: parseElapsedMs(data, response.status), arrivedMs: performance.now() });
    }
    if (arrivals.length < eventsPerTest) throw badResponse("The test was interrupted.", response.status);
    return arrivals;
  } finally {
    line.close();
  }
}

function parseElapsedMs(data: string, status: number): number {
  try {
    return event.parse(JSON.parse(data)).elapsedMs;
  } catch (cause) {
    throw badResponse("The test's events are not what this page expects.", status, cause);
  }
}
