// Readers are independent: the cost of a slow one to the server, the turn and other readers.
import { get, type IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { isTerminal, type TurnChunk } from "@/lib/turn/chunks";
import type { Script } from "@/test/provider";
import { blocksOf, gateOf, header, newKey, testCluster } from "@/test/server/cluster";
import { openStream } from "@/test/sse";
import { type Memory, measured, mebibytes, memoryOf } from "./memory";
import { countCases, sized } from "./trial";

const cluster = testCluster({ env: { ...measured, CHUNK_TIMEOUT_MS: "600000" } });

const megabyte = 1_000_000;
const answerBytes = sized(5, 20) * megabyte;
const deltaBytes = 4_000;
/** Memory a stalled reader may hold in the server, in total (docs/reliability.md I13). */
const allowedBytes = 10 * megabyte;
/** 256 KiB in flight, and the same again for the connection and the request. */
const allowedEachBytes = 524_288;
/** Noise of a busy machine that may hit one measurement and not the other. */
const graceMs = 500;
const bytesPerSecond = 1_000;
const slowCount = 20;

/** The whole text at once; then waits for the gate before it ends. */
function longAnswer(key: string): { script: Script; text: string } {
  const deltas = Array.from({ length: answerBytes / deltaBytes }, (_, index) =>
    `${index} `.padEnd(deltaBytes, "the quick brown fox jumps over the lazy dog "),
  );
  const script = [...deltas.map((text) => ({ text })), { gate: gateOf(key, 0) }, { finish: "stop" } as const];
  return { script, text: deltas.join("") };
}

type SlowReader = {
  received(): number;
  /** Reads the rest at full speed. */
  hurry(): Promise<string>;
  close(): void;
};

/** Reads this many bytes a second from the turn's start. */
async function slowReader(turnId: string, perSecond: number): Promise<SlowReader> {
  const headers = { authorization: `Bearer ${cluster.user.token}` };
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get(`${cluster.a.url}/api/turns/${turnId}/stream`, { agent: false, headers }, resolve).on("error", reject);
  });
  const parts: Buffer[] = [];
  let received = 0;
  const take = (bytes: Buffer | null) => {
    if (!bytes) return;
    parts.push(bytes);
    received += bytes.length;
  };
  const timer = setInterval(() => take(response.read(perSecond / 10) as Buffer | null), 100);
  return {
    received: () => received,
    async hurry() {
      clearInterval(timer);
      response.on("data", take);
      await new Promise((resolve, reject) => response.on("end", resolve).on("error", reject));
      return Buffer.concat(parts).toString("utf8");
    },
    close() {
      clearInterval(timer);
      response.destroy();
    },
  };
}

function chunksOf(raw: string): TurnChunk[] {
  const data = blocksOf(raw).map((block) => /^data: (.*)$/m.exec(block)?.[1]);
  return data.filter((json) => json !== "[DONE]").map((json) => JSON.parse(json as string) as TurnChunk);
}

function textIn(chunks: TurnChunk[]): string {
  return chunks.map((chunk) => (chunk.type === "text-delta" ? chunk.delta : "")).join("");
}

test(`I13: readers at ${bytesPerSecond} bytes a second of ${answerBytes / megabyte} MB neither use memory nor slow others`, async (context) => {
  /** Resolves when the whole text has reached a full-speed reader while the turn still runs. */
  async function answer() {
    const key = newKey();
    const { script, text } = longAnswer(key);
    cluster.provider.on(key, script);
    const startMs = performance.now();
    const stream = await cluster.send(key, { searchMode: "none" });
    const turnId = header(stream, "x-turn-id");
    const arrived = stream.until((seen) => seen.text.length === text.length);
    return {
      turnId,
      text,
      arrivedMs: arrived.then(() => performance.now() - startMs),
      async end() {
        cluster.provider.open(gateOf(key, 0));
        expect(await stream.ended).toBe("terminal");
        expect(stream.text).toBe(text);
      },
    };
  }

  /** Milliseconds for a full read of an ended turn. */
  async function replay(turnId: string): Promise<number> {
    const startMs = performance.now();
    const stream = await openStream(`${cluster.a.url}/api/turns/${turnId}/stream`, { token: cluster.user.token });
    expect(await stream.ended).toBe("terminal");
    return performance.now() - startMs;
  }

  async function fastestReplay(turnId: string): Promise<number> {
    return Math.min(await replay(turnId), await replay(turnId), await replay(turnId));
  }

  // The first run warms up: code is compiled and the heap grows to what such answers need.
  const first = await answer();
  await slowReader(first.turnId, bytesPerSecond).then(async (reader) => {
    await first.arrivedMs;
    reader.close();
  });
  await first.end();
  await replay(first.turnId);

  const alone = await answer();
  const aloneMs = await alone.arrivedMs;
  const quiet = await memoryOf(cluster.a);
  const late = await slowReader(alone.turnId, bytesPerSecond);
  while (late.received() < bytesPerSecond) await sleep(50);
  const withLate = await memoryOf(cluster.a);
  late.close();
  await alone.end();

  const shared = await answer();
  const slow = await slowReader(shared.turnId, bytesPerSecond);
  const silent = await slowReader(shared.turnId, 0);
  const sharedMs = await shared.arrivedMs;
  const withTwo = await memoryOf(cluster.a);
  const beforeMs = await fastestReplay(alone.turnId);
  const crowd = await Promise.all(Array.from({ length: slowCount }, () => slowReader(shared.turnId, bytesPerSecond)));
  // At first the kernel takes a few megabytes for each; this read gets that over with.
  await replay(alone.turnId);
  const withCrowd = await memoryOf(cluster.a);
  const besideMs = await fastestReplay(alone.turnId);
  for (const reader of crowd) reader.close();
  // Once more: the machine, and this process with all its data, may have become slower.
  const withoutMs = Math.max(beforeMs, await fastestReplay(alone.turnId));
  const slowBytes = slow.received();
  await shared.end();
  for (const reader of [slow, silent]) {
    const chunks = chunksOf(await reader.hurry());
    expect(textIn(chunks)).toBe(shared.text);
    expect(chunks.filter(isTerminal)).toHaveLength(1);
  }

  const show = ({ used, rss }: Memory) => `${mebibytes(used)} MiB used, ${mebibytes(rss)} resident`;
  console.log(
    [
      `an answer of ${answerBytes / megabyte} MB, all of it in the log: ${show(quiet)}; with a slow reader ${show(withLate)}`,
      `with two from its start: ${show(withTwo)}; with ${slowCount} more: ${show(withCrowd)}`,
      `full speed: live ${aloneMs.toFixed()} ms, beside slow ones ${sharedMs.toFixed()} ms; ended ${withoutMs.toFixed()} and ${besideMs.toFixed()} ms`,
      `the slow one had ${slowBytes} bytes by then`,
    ].join("\n"),
  );
  expect(slowBytes).toBeLessThan(answerBytes / 10);
  expect(withLate.rss - quiet.rss).toBeLessThan(allowedBytes);
  expect(withLate.used - quiet.used).toBeLessThan(allowedBytes / 10);
  expect(withTwo.used - quiet.used).toBeLessThan(allowedBytes);
  expect(withCrowd.used - withTwo.used).toBeLessThan(slowCount * allowedEachBytes);
  expect(sharedMs).toBeLessThan(2 * aloneMs + 2 * graceMs);
  expect(besideMs).toBeLessThan(1.5 * withoutMs + graceMs);
  countCases(context, 3 + slowCount);
}, 240_000);
