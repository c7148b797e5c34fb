// The verdict over real HTTP; e2e/buffering.spec.ts covers real proxies.
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { findBuffering } from "./buffering.ts";

type Way = "direct" | "held back" | "broken off" | "not the test" | "refused";
let close = () => {};
afterEach(() => close());

/** Answers the n-th request the n-th way, repeating the last. Also counts the requests. */
async function verdict(...ways: Way[]): Promise<{ verdict: Promise<boolean>; asked: () => number }> {
  let asked = 0;
  const server = createServer((_, response) => {
    const way = ways[Math.min(asked, ways.length - 1)] as Way;
    asked += 1;
    void answer(way, response);
  });
  await new Promise<void>((resolve) => server.listen(0, resolve));
  close = () => {
    server.close();
    server.closeAllConnections();
  };
  const baseUrl = `http://localhost:${(server.address() as AddressInfo).port}`;
  return { verdict: findBuffering({ baseUrl }, new AbortController().signal), asked: () => asked };
}

async function answer(way: Way, response: ServerResponse): Promise<void> {
  if (way === "refused") return void response.writeHead(404).end();
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.flushHeaders();
  const startedMs = performance.now();
  let held = "";
  for (let index = 0; index < (way === "broken off" ? 9 : 10); index++) {
    await sleep(20);
    const elapsedMs = Math.round(performance.now() - startedMs);
    const block = `data: ${way === "not the test" ? "[DONE]" : JSON.stringify({ index, elapsedMs })}\n\n`;
    if (way === "held back") held += block;
    else response.write(block);
  }
  response.end(held);
}

test("events that arrive as sent: no buffering, after one test", async () => {
  const run = await verdict("direct");
  expect(await run.verdict).toBe(false);
  expect(run.asked()).toBe(1);
});

test("events that arrive together twice: buffering", async () => {
  const run = await verdict("held back");
  expect(await run.verdict).toBe(true);
  expect(run.asked()).toBe(2);
});

test("one stall that does not recur is not buffering", async () => {
  const run = await verdict("held back", "direct");
  expect(await run.verdict).toBe(false);
  expect(run.asked()).toBe(2);
});

test.each([
  ["broken off", "bad_response"],
  ["not the test", "bad_response"],
  ["refused", "http_404"],
] as const)("a test that is %s has no verdict", async (way, code) => {
  const run = await verdict(way);
  await expect(run.verdict).rejects.toMatchObject({ name: "RequestError", code });
});
