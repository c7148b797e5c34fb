// Unanswered requests of this process (pages, uploads and streams) and their servers. For shutdown,
// which completes what was accepted. Must never depend on what a request is about.

import type { Server, ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { processSingleton } from "./process-singletons";
import type { eventStreamHeaders } from "./sse";

const inFlight = processSingleton("requests-in-flight", () => ({
  servers: new Set<Server>(),
  responses: new Set<ServerResponse>(),
}));

const pollMs = 20;
/** Set on every stream, including plain text ones. */
const streamHeader: keyof typeof eventStreamHeaders = "X-Accel-Buffering";

/** Counts the request as in flight until its response is sent or its client has disconnected. */
export function trackRequest(server: Server, response: ServerResponse): void {
  const { servers, responses } = inFlight();
  servers.add(server);
  responses.add(response);
  response.once("close", () => responses.delete(response));
}

/** Stops accepting connections and closes idle ones. */
export function closeServers(): void {
  for (const server of inFlight().servers) server.close();
}

/**
 * Waits up to `timeoutMs` for responses, and up to `streamsMs` for streams, which resume elsewhere:
 * a stalled reader would block shutdown. Resolves to the number of unanswered requests, not
 * counting streams.
 */
export async function waitForResponses(timeoutMs: number, streamsMs: number): Promise<number> {
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
