// GET /api/health/stream, the test for buffering between client and server: docs/protocol.md §5.
import { request } from "node:http";
import { expect, test } from "vitest";
import { type EventStream, openStream } from "@/test/sse";
import { underLoad } from "@/test/under-load";
import { opening, rawOf, testCluster } from "./cluster";

const cluster = testCluster();
const urlOf = (path = "/api/health/stream") => cluster.a.url + path;
const listen = (path?: string): Promise<EventStream> => openStream(urlOf(path), { kind: "dialect" });

test.each(["/api/health/stream", "/api/health/stream/"])("ten events on %s arrive one by one", async (path) => {
  const stream = await listen(path);
  expect(await stream.ended).toBe("eof");
  expect(stream.headers).toMatchObject({
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-store, no-transform",
    "x-accel-buffering": "no",
  });
  expect(rawOf(stream).slice(0, opening.length)).toBe(opening);
  const events = stream.frames.map(({ data }) => JSON.parse(data) as { index: number; elapsedMs: number });
  expect(events.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  const packets = new Set(stream.frames.map(({ atMs }) => atMs));
  expect(packets.size).toBe(10);
  const arrivals = stream.frames.map(({ atMs }) => atMs - (stream.frames[0]?.atMs as number));
  // A busy machine may delay an event, but none may be held until the one after the next.
  const lateMs = underLoad(200);
  for (const [index, { elapsedMs }] of events.entries()) {
    // Timers may fire a millisecond early.
    expect(elapsedMs).toBeGreaterThan(index * 100 - 5);
    expect(elapsedMs).toBeLessThan(index * 100 + lateMs);
    expect(Math.abs((arrivals[index] as number) - elapsedMs)).toBeLessThan(lateMs);
  }
});

test("allows a hundred concurrent streams, then 429; closing one frees a slot, and HEAD takes none", async () => {
  for (let asked = 0; asked < 120; asked++) expect(await head()).toBe(200);
  const readers = await Promise.all(Array.from({ length: 100 }, () => listen()));
  expect(readers.map(({ status }) => status)).toEqual(readers.map(() => 200));
  const refused = await listen();
  expect(refused.status).toBe(429);
  expect(refused.headers["retry-after"]).toBe("1");
  expect(JSON.parse(refused.body)).toMatchObject({ error: { code: "rate_limited" } });
  for (const reader of readers) reader.close();
  await expect.poll(async () => (await listen()).status).toBe(200);
  const again = await Promise.all(Array.from({ length: 90 }, () => listen()));
  expect(again.map(({ status }) => status)).toEqual(again.map(() => 200));
  expect(await Promise.all(again.map(({ ended }) => ended))).toEqual(again.map(() => "eof"));
});

function head(): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const outgoing = request(urlOf(), { method: "HEAD" }, (answer) => resolve(answer.resume().statusCode));
    outgoing.on("error", reject);
    outgoing.end();
  });
}
