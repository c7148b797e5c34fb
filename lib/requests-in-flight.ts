// The requests that this process has not answered yet, pages, uploads and streams alike, and the servers they come from. For
// the shutdown, which answers what it has taken. Must never know what a request is about.
import type { Server, ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import type { eventStreamHeaders } from "./sse";

// On globalThis because the gate and the drain may be bundled apart.
const key = Symbol.for("rivulet.requests-in-flight");
type InFlight = { servers: Set<Server>; responses: Set<ServerResponse> };
const shared = globalThis as { [key]?: InFlight };

const pollMs = 20;
/** Every stream has it, also those in plain text. */
const streamHeader: keyof typeof eventStreamHeaders = "X-Accel-Buffering";

function inFlight(): InFlight {
  shared[key] ??= { servers: new Set(), responses: new Set() };
  return shared[key];
}

/** Counts the request as in flight until its response is sent or its client has gone. */
export function trackRequest(server: Server, response: ServerResponse): void {
  const { servers, responses } = inFlight();
  servers.add(server);
  responses.add(response);
  response.once("close", () => responses.delete(response));
}

/** Takes no new connections and ends idle ones. */
export function closeServers(): void {
  for (const server of inFlight().servers) server.close();
}

/**
 * Waits until all is answered, at most `timeoutMs`, and for streams, which resume elsewhere, at most `streamsMs`: a reader
 * that has stalled would hold the server. Resolves to the number of requests that were not answered, besides streams.
 */
export async function untilAnswered(timeoutMs: number, streamsMs: number): Promise<number> {
  const { responses } = inFlight();
  const startedMs = performance.now();
  for (;;) {
    const others = [...responses].filter((response) => !response.hasHeader(streamHeader)).length;
    const waitedMs = performance.now() - startedMs;
    const streamsDone = responses.size === others || waitedMs >= streamsMs;
    if ((others === 0 && streamsDone) || waitedMs >= Math.max(timeoutMs, streamsMs)) return others;
    await delay(pollMs);
  }
}
