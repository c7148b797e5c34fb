// Thousands of open streams on one process: each is alive and receives heartbeats, and none costs
// the database anything. Half of their turns are written by this process, half by another.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { gateOf, header, median, newKey, type TestServer, testCluster } from "@/test/server/cluster";
import { underLoad } from "@/test/under-load";
import { startCrowd } from "./crowd";
import { startQueryCounter } from "./query-counter";
import { countCases, sized } from "./trial";

const streams = sized(500, 5_000);
const windowSeconds = sized(5, 60);
const baselineSeconds = sized(4, 20);
const heartbeatMs = sized(2_000, 5_000);
/** A fifth of the shortest heartbeat interval; no proxy has a timeout that close to it. */
const lateMs = 1_000;
/** The crowd's sockets, its own descriptors and the runtime's. */
const descriptors = streams + 200;

const cluster = testCluster({
  env: { HEARTBEAT_MS: String(heartbeatMs), LEASE_MS: "3000", CHUNK_TIMEOUT_MS: "600000" },
});

beforeAll(() => {
  // The server and the crowd inherit this process's limit: Node raises it to the hard one.
  const limit = execFileSync("sh", ["-c", "ulimit -Hn"], { encoding: "utf8" }).trim();
  if (limit !== "unlimited" && Number(limit) < descriptors)
    throw new Error(`${streams} streams need ${descriptors} open files, and this machine allows ${limit}: ulimit -n.`);
});

test(
  `I14 I5: ${streams} open streams stay alive with heartbeats on time and cost no more queries than five`,
  async (context) => {
    const counter = await startQueryCounter(cluster.databaseUrl);
    onTestFinished(() => counter.close());
    const crowded = await cluster.start({ env: { DATABASE_URL: counter.url } });
    onTestFinished(async () => void (await crowded.kill("SIGKILL")));
    const crowd = await startCrowd();
    onTestFinished(() => crowd.close());
    const key = newKey();
    cluster.provider.on(key, [
      { text: "Ready." },
      { gate: gateOf(key, 0) },
      { text: " Token." },
      { gate: gateOf(key, 1) },
      { finish: "stop" },
    ]);
    const urls = await Promise.all([crowded, crowded, cluster.a, cluster.a].map((owner) => startTurn(key, owner)));

    async function startTurn(text: string, owner: TestServer): Promise<string> {
      const stream = await cluster.send(text, { searchMode: "none" }, { server: owner });
      await stream.until((seen) => seen.text === "Ready.");
      stream.close();
      return `${crowded.url}/api/turns/${header(stream, "x-turn-id")}/stream`;
    }

    /** Statements in each second. */
    async function queriesASecond(seconds: number): Promise<number[]> {
      const counts: number[] = [];
      for (let second = 0; second < seconds; second++) {
        const before = counter.count();
        await sleep(1_000);
        counts.push(counter.count() - before);
      }
      return counts;
    }

    const few = 5;
    await crowd.open(urls, cluster.user.token, few);
    const withFew = await queriesASecond(baselineSeconds);
    const before = residentKiB(crowded);
    const openedMs = crowd.nowMs();
    await crowd.open(urls, cluster.user.token, streams - few);
    await crowd.received("Ready.", crowd.nowMs());
    const openMs = crowd.nowMs() - openedMs;

    await crowd.listen();
    const withMany = await queriesASecond(windowSeconds);
    const beats = await crowd.beats();
    const perStreamKiB = (residentKiB(crowded) - before) / streams;

    const countBefore = counter.count();
    const sentMs = crowd.nowMs();
    cluster.provider.open(gateOf(key, 0));
    const arrival = await crowd.received("Ready. Token.", sentMs);
    const countAfter = counter.count();
    cluster.provider.open(gateOf(key, 1));
    const ended = await crowd.ended();

    const show = (values: object) =>
      JSON.stringify(values, (_, value) => (typeof value === "number" ? Math.round(value) : value));
    console.log(
      [
        `${streams} streams opened in ${(openMs / 1_000).toFixed(1)} s, ${perStreamKiB.toFixed(1)} KiB of memory each`,
        `queries a second: ${median(withFew)} with ${few} (${withFew}), ${median(withMany)} with ${streams} (${withMany})`,
        `heartbeats every ${heartbeatMs} ms: gaps ${show(beats.gapsMs)}, silent at most ${Math.round(beats.silentMs)} ms`,
        `a token reached all: ${show(arrival)} ms; ${countAfter - countBefore} queries meanwhile`,
      ].join("\n"),
    );
    expect(beats.alive).toBe(streams);
    expect(beats.fewest).toBeGreaterThanOrEqual(Math.floor((windowSeconds * 1_000 - lateMs) / heartbeatMs));
    expect(beats.gapsMs.p99).toBeLessThan(underLoad(heartbeatMs + lateMs));
    expect(Math.max(beats.silentMs, beats.gapsMs.max)).toBeLessThan(underLoad(2 * heartbeatMs));
    // The rounds of two timers may fall into one second.
    expect(median(withMany)).toBeLessThanOrEqual(median(withFew) + 1);
    expect(mean(withMany)).toBeLessThanOrEqual(mean(withFew) + 1);
    // Two commits, one read for all followers of the other server's turns, and the timers' rounds
    // in that second.
    expect(countAfter - countBefore).toBeLessThanOrEqual(median(withFew) * (1 + arrival.max / 1_000) + 10);
    expect(ended).toEqual({ terminals: streams, breaches: [] });
    countCases(context, streams);
  },
  sized(60_000, 240_000),
);

function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function residentKiB({ pid }: TestServer): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}
