// Whether something between this page and the server holds streams back: the server's self-test, and the times at which
// its events arrive (docs/protocol.md §5). What a page says about it is the page's matter.
import { z } from "zod";
import { Line } from "./line";
import { badResponse, type Http, request } from "./request";

/** One event of the test: when it was sent and when it came, each by its own clock. */
type Arrival = { sentMs: number; cameMs: number };

const event = z.object({ elapsedMs: z.number() });
const eventsOfATest = 10;
/** The test takes a second. Whoever holds it back longer than this is no proxy that buffers. */
const patienceMs = 15_000;

/**
 * True when the events came in less than half the time in which they were sent: a network delays all of them alike, or
 * some, but does not gather them.
 */
function cameTogether(arrivals: Arrival[]): boolean {
  const first = arrivals[0];
  const last = arrivals.at(-1);
  if (!first || !last) return false;
  return last.cameMs - first.cameMs < (last.sentMs - first.sentMs) / 2;
}

/**
 * Runs the test, and when it says yes once more: one stall of the network, or of the page, looks the same once. Throws
 * RequestError when it cannot be run, or the signal's reason.
 */
export async function findBuffering(http: Http, signal: AbortSignal): Promise<boolean> {
  return cameTogether(await listen(http, signal)) && cameTogether(await listen(http, signal));
}

async function listen(http: Http, signal: AbortSignal): Promise<Arrival[]> {
  // Nothing to come back to: a test that breaks off has said nothing.
  const line = new Line({ signal, wake: () => () => {}, firstByteMs: patienceMs, silenceMs: patienceMs });
  try {
    const response = await request(http, "/api/health/stream", { signal: line.signal, cache: "no-store" });
    const arrivals: Arrival[] = [];
    for await (const { data } of line.frames(response)) {
      arrivals.push({ sentMs: parseElapsedMs(data, response.status), cameMs: performance.now() });
    }
    if (arrivals.length < eventsOfATest) throw badResponse("The test broke off.", response.status);
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
