import { afterEach, expect, it, vi } from "vitest";
import { trackWork, watchEventLoop } from "./event-loop";
import { logger } from "./logger";

afterEach(() => vi.restoreAllMocks());

it("I23: reports how long the event loop was blocked, and what was running", async () => {
  const warn = vi.spyOn(logger, "warn").mockImplementation(() => {});
  const stop = watchEventLoop();
  try {
    trackWork("POST /api/documents");
    const end = trackWork("GET /reference");
    // Repeated, because the watch itself may not have started the first time.
    await vi.waitFor(
      () => {
        hold(300);
        expect(warn).toHaveBeenCalled();
      },
      { timeout: 10_000 },
    );
    const [[facts]] = warn.mock.calls as unknown as [[{ delayMs: number; ran: string[] }]];
    expect(facts.delayMs).toBeGreaterThanOrEqual(200);
    expect(facts.ran).toEqual(["POST /api/documents", "GET /reference"]);
    end();
  } finally {
    stop();
  }
});

function hold(milliseconds: number): void {
  const untilMs = performance.now() + milliseconds;
  while (performance.now() < untilMs);
}
