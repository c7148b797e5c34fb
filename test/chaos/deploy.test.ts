// A rolling deploy under live turns: A leaves on SIGTERM and comes back, then B. Clients connect
// through a front that only knows which server accepts connections. Nobody may lose or repeat a
// character, or see an error.

import { randomUUID } from "node:crypto";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { TurnChunk } from "@/lib/turn/chunks";
import { ResumableChatTransport } from "@/packages/client/src/transport";
import { HeadlessChat } from "@/test/client/scripted-server";
import { gateOf, newKey, testCluster, textOf } from "@/test/server/cluster";
import { type EventStream, openStream } from "@/test/sse";
import { underLoad } from "@/test/under-load";
import { countCases, sized } from "./trial";

const drainMs = 20_000;
const cluster = testCluster({ servers: 2, env: { DRAIN_MS: String(drainMs) } });
const liveTurns = sized(12, 50);
/** Sent while one server drains. */
const lateTurns = sized(2, 10);
let front: Awaited<ReturnType<typeof startFront>>;

beforeAll(async () => {
  front = await startFront();
});
afterAll(() => front.close());

/** Round-robin over connections, skipping a server that refuses. Knows no HTTP and no drains. */
async function startFront(): Promise<{ url: string; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  let turn = 0;
  const server = createServer((client) => {
    turn += 1;
    const ports = turn % 2 ? [cluster.a.port, cluster.b.port] : [cluster.b.port, cluster.a.port];
    const pass = ([port, ...others]: number[]) => {
      if (port === undefined) return client.resetAndDestroy();
      const upstream = connect(port, "localhost");
      let connected = false;
      sockets.add(upstream);
      upstream.on("close", () => sockets.delete(upstream));
      upstream.on("error", () => (connected ? client.destroy() : pass(others)));
      upstream.on("connect", () => {
        connected = true;
        client.pipe(upstream);
        upstream.pipe(client);
        client.on("close", () => upstream.destroy());
      });
    };
    sockets.add(client);
    client.on("close", () => sockets.delete(client));
    // The client left: its upstream is closed above.
    client.on("error", () => client.destroy());
    pass(ports);
  });
  await new Promise<void>((resolve) => server.listen(0, resolve));
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

type Live = { key: string; script: string; chat: HeadlessChat; sent: Promise<void>; reader: Promise<EventStream> };

const words = (name: string, count: number) => Array.from({ length: count }, (_, index) => `${name}${index} `).join("");

/** A question from the page's own client, with a second reader that follows along. */
function ask(): Live {
  const key = newKey();
  const [before, after] = [words("before", 40), words("after", 20).trimEnd()];
  cluster.provider.on(key, [
    { tokens: before, perSecond: 25 },
    { gate: gateOf(key, 0) },
    { tokens: after, perSecond: 100 },
    { finish: "stop" },
  ]);
  const transport = new ResumableChatTransport({
    baseUrl: front.url,
    headers: () => ({ authorization: `Bearer ${cluster.user.token}` }),
    body: () => ({ searchMode: "none" }),
  });
  const chat = new HeadlessChat({ id: randomUUID(), transport });
  const sent = chat.sendMessage({ text: key });
  return { key, script: before + after, chat, sent, reader: followAlong(chat) };
}

const textIn = (chunks: TurnChunk[]) =>
  chunks.map((chunk) => (chunk.type === "text-delta" ? chunk.delta : "")).join("");

/** Reads the chat's turn from start to terminal, resuming after each premature end. */
async function followAlong(chat: HeadlessChat): Promise<EventStream> {
  await expect.poll(() => chat.seen.length, { interval: 20, timeout: 30_000 }).toBeGreaterThan(0);
  const start = chat.seen[0] as Extract<TurnChunk, { type: "start" }>;
  const url = `${front.url}/api/turns/${start.messageMetadata?.turnId}/stream`;
  let after: EventStream | undefined;
  for (;;) {
    const stream = await openStream(url, { token: cluster.user.token, after }).catch(() => null);
    if (stream && stream.status === 200) {
      after = stream;
      if ((await stream.ended) === "terminal") return stream;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/**
 * Resolves when every page shows the word; a page that shows something else instead of an answer
 * fails the test.
 */
async function allSee(turns: Live[], word: string): Promise<void> {
  const state = ({ chat }: Live) => chat.error?.message ?? textIn(chat.seen).includes(word);
  await expect.poll(() => turns.map(state), { timeout: 60_000 }).toEqual(turns.map(() => true));
}

async function checkWhole({ chat, script, sent, reader }: Live): Promise<void> {
  await sent;
  expect([chat.error, chat.status]).toEqual([undefined, "ready"]);
  expect(textIn(chat.seen)).toBe(script);
  expect(textOf(chat.lastMessage)).toBe(script);
  const stream = await reader;
  expect(stream.text).toBe(script);
  for (const chunks of [chat.seen, stream.chunks]) {
    expect(chunks.at(-1)).toEqual({ type: "finish" });
    expect(chunks.filter(({ type }) => type === "error" || type === "abort")).toEqual([]);
  }
  const stored = await cluster.answer(chat.id);
  expect(textOf(stored)).toBe(script);
  expect(stored.metadata).toMatchObject({ status: "complete" });
}

/** How many turns the leaving server had when its drain began. */
function drained(output: string): number {
  const line = output.split("\n").find((each) => each.includes("draining: "));
  return (JSON.parse(line ?? "{}") as { turns: number }).turns;
}

test(
  `I17 I1 I3 I4: rolling SIGTERM of two servers with ${liveTurns} live turns: nothing lost, repeated or shown as an error`,
  async (context) => {
    const rounds = sized(1, 3);
    for (let round = 0; round < rounds; round++) {
      for (const name of ["a", "b"] as const) {
        const turns = Array.from({ length: liveTurns }, ask);
        await allSee(turns, "before5 ");
        const leaving = cluster[name];
        const askedAtMs = performance.now();
        const exit = leaving.stop();
        await expect.poll(() => leaving.output(), { interval: 20 }).toContain("draining: ");
        const late = Array.from({ length: lateTurns }, ask);
        const all = [...turns, ...late];
        // Every answer continues for its readers while its server drains.
        await allSee(all, "before39 ");
        for (const { key } of all) cluster.provider.open(gateOf(key, 0));
        expect(await exit).toBe(0);
        const tookMs = performance.now() - askedAtMs;
        expect(tookMs).toBeLessThan(underLoad(drainMs));
        cluster[name] = await cluster.start({ port: leaving.port });
        await Promise.all(all.map(checkWhole));
        expect(drained(leaving.output())).toBeGreaterThan(0);
        expect(leaving.output()).not.toMatch(/"level":"(error|fatal)"/);
        countCases(context, all.length);
        console.log(
          `${name.toUpperCase()} left with ${drained(leaving.output())} of ${liveTurns} live turns in ${Math.round(tookMs)} ms`,
        );
      }
    }
  },
  sized(120_000, 900_000),
);
