// Costs measured on the real server: time to first byte and to first token, commits per second.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { newGuest } from "@/test/server";
import { openStream } from "@/test/sse";
import { underLoad } from "@/test/under-load";
import { gateOf, header, median, messageBody, newKey, opening, rawOf, testCluster } from "./cluster";

const cluster = testCluster();

/** One commit every 25 ms, plus some for starting turns; streaming turns have started. */
const commitsBound = 45;
const windowMs = 3_000;

test.each([1, 100])("commits per second with %i streaming turns", async (count) => {
  const key = newKey();
  const words = Array.from({ length: 400 }, (_, index) => `word${index}`).join(" ");
  const perSecond = count === 1 ? 80 : 10;
  cluster.provider.on(key, [
    { text: "Ready. " },
    { gate: gateOf(key, 0) },
    { tokens: words, perSecond },
    { finish: "stop" },
  ]);
  const streams = await Promise.all(Array.from({ length: count }, () => cluster.send(key, { searchMode: "none" })));
  await Promise.all(streams.map((stream) => stream.until(({ text }) => text === "Ready. ")));
  const turnIds = streams.map((stream) => header(stream, "x-turn-id"));
  cluster.provider.open(gateOf(key, 0));
  await Promise.all(streams.map((stream) => stream.until(({ text }) => text.includes("word4"))));
  const before = await commits();
  const startMs = performance.now();
  const startLengths = streams.map(({ text }) => text.length);
  await sleep(windowMs);
  const after = await commits();
  const seconds = (performance.now() - startMs) / 1_000;
  const grown = streams.filter(({ text }, index) => text.length > (startLengths[index] as number)).length;
  const all = (after.all - before.all) / seconds;
  const writing = (after.writing - before.writing) / seconds;
  console.log(`${count} streaming turns: ${writing.toFixed(1)} commits of chunks a second, ${all.toFixed(1)} in all`);
  expect(grown).toBe(count);
  expect(writing).toBeGreaterThan(0);
  expect(writing).toBeLessThanOrEqual(commitsBound);
  // Autovacuum is the only other writer.
  expect(all).toBeLessThanOrEqual(commitsBound + 3);
  await Promise.all(turnIds.map((turnId) => cluster.api("DELETE", `/api/turns/${turnId}`)));
  expect(new Set(await Promise.all(streams.map(({ ended }) => ended)))).toEqual(new Set(["terminal"]));
});

test("POST to first byte under 100 ms, to the first token of `local` under 300 ms, at the median", async () => {
  // With the sample documents: a user also waits for their search.
  const user = await newGuest(cluster.a.url);
  const firstByteMs: number[] = [];
  const firstTokenMs: number[] = [];
  for (let run = 0; run < 22; run++) {
    const sentAtMs = performance.now();
    const stream = await openStream(`${cluster.a.url}/api/chat`, {
      token: user.token,
      body: messageBody("How does a client resume a stream?", { chatId: randomUUID(), model: "local" }),
    });
    await stream.until(({ text }) => text !== "");
    expect(rawOf(stream).startsWith(opening)).toBe(true);
    firstByteMs.push((stream.bytes[0]?.atMs ?? Number.NaN) - sentAtMs);
    firstTokenMs.push((stream.frames.find(({ data }) => data.includes('"text-delta"'))?.atMs ?? Number.NaN) - sentAtMs);
    await cluster.api("DELETE", `/api/turns/${header(stream, "x-turn-id")}`, { user });
    await stream.ended;
  }
  // The first two load code.
  const [byte, token] = [firstByteMs, firstTokenMs].map((values) => Math.round(median(values.slice(2)) * 10) / 10);
  console.log(`POST → first byte ${byte} ms, → first token of local ${token} ms (medians of 20)`);
  expect(byte).toBeLessThan(underLoad(100));
  expect(token).toBeLessThan(underLoad(300));
});

/** Exact totals of the server's writing transactions, and of those that wrote chunks. */
async function commits(): Promise<{ all: number; writing: number }> {
  const [row] = await cluster.sql`
    select pg_snapshot_xmax(pg_current_snapshot())::text::bigint::int as all,
      (select count(distinct xmin::text)::int from turn_chunks) as writing`;
  return { all: row?.all, writing: row?.writing };
}
