// Behind nginx and Caddy as Debian ships them, with no configuration for streams: each event
// arrives at once, silence does not end a stream, and a proxy restart loses nothing. Documented
// configurations: test/server/sse-document.test.ts. Single bytes and CRLF:
// test/server/dialect-clients.test.ts.
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeAll, expect, test } from "vitest";
import { requirePrograms } from "@/scripts/debian";
import { gated, gateOf, header, messageBody, newKey, testCluster, textOf } from "@/test/server/cluster";
import { type EventStream, openStream } from "@/test/sse";
import { underLoad } from "@/test/under-load";
import { Front } from "./front";
import { countCases, sized } from "./trial";

const cluster = testCluster({ env: { HEARTBEAT_MS: "500" } });
const kinds = ["nginx", "caddy"] as const;
let front: Front;
const fronts: Front[] = [];

beforeAll(() => requirePrograms(...kinds), 300_000);
afterEach(async () => {
  for (const used of fronts.splice(0)) await used.remove();
});

async function startFront(kind: (typeof kinds)[number], directives = ""): Promise<void> {
  front = await Front.start(kind, cluster.a.port, directives);
  fronts.push(front);
}

const send = (key: string, headers: Record<string, string> = {}) =>
  openStream(`${front.url}/api/chat`, { token: cluster.user.token, body: messageBody(key), headers });

const resume = (stream: EventStream) =>
  openStream(`${front.url}/api/turns/${header(stream, "x-turn-id")}/stream`, {
    token: cluster.user.token,
    after: stream,
  });

test.each(kinds)(
  "I3 I5: %s delivers each token immediately, before the next one exists, to a client that accepts gzip",
  async (kind) => {
    await startFront(kind);
    const key = newKey();
    const tokens = Array.from({ length: sized(20, 200) }, (_, index) => `${index} `);
    cluster.provider.on(key, gated(key, tokens));
    const stream = await send(key, { "accept-encoding": "gzip, deflate, br, zstd" });
    expect(stream.headers["content-encoding"]).toBeUndefined();
    await cluster.walk(stream, key, tokens);
    expect(await stream.ended).toBe("terminal");
    expect(stream.text).toBe(tokens.join(""));
  },
);

test("I5 I6: nginx with proxy_read_timeout 2s: longer silence before or after the first token cuts nothing", async () => {
  await startFront("nginx", "proxy_read_timeout 2s;");
  const [early, late] = [newKey(), newKey()];
  cluster.provider.on(early, [{ gate: early }, { text: "One" }, { finish: "stop" }]);
  cluster.provider.on(late, [{ text: "One" }, { gate: late }, { finish: "stop" }]);
  const streams = [await send(early), await send(late)];
  await Promise.all([early, late].map((key) => cluster.provider.reached(key)));
  await delay(sized(3_000, 6_000));
  for (const key of [early, late]) cluster.provider.open(key);
  for (const stream of streams) {
    expect(await stream.ended).toBe("terminal");
    expect(stream.text).toBe("One");
    const silences = stream.comments.map(({ atMs }, index) => atMs - (stream.comments[index - 1]?.atMs ?? atMs));
    expect(stream.comments.length).toBeGreaterThan(sized(4, 10));
    // No other system's timeout may be shorter than this.
    expect(Math.max(...silences)).toBeLessThan(underLoad(1_900));
  }
});

test.each(kinds)(
  "I1 I2 I3 I6: %s restarts mid-stream: the client resumes from its cursor, nothing lost or repeated",
  async (kind) => {
    await startFront(kind);
    const key = newKey();
    const tokens = Array.from({ length: sized(6, 30) }, (_, index) => `${index} `);
    cluster.provider.on(key, gated(key, tokens));
    let stream = await send(key);
    for (const [index] of tokens.entries()) {
      await cluster.walk(stream, key, tokens.slice(0, index + 1), index - 1);
      await stream.until(({ text }) => text === tokens.slice(0, index + 1).join(""));
      await front.down();
      expect(await stream.ended).not.toBe("terminal");
      await front.up();
      const before = stream.text;
      stream = await resume(stream);
      expect(stream.text).toBe(before);
      cluster.provider.open(gateOf(key, index));
    }
    expect(await stream.ended).toBe("terminal");
    expect(stream.text).toBe(tokens.join(""));
    expect(textOf(await cluster.answer(header(stream, "x-chat-id")))).toBe(stream.text);
  },
);

test("I3 I6: an nginx configuration reload keeps open streams to their end and accepts new ones", async (context) => {
  await startFront("nginx");
  const key = newKey();
  const tokens = ["One", " two", " three", " four"];
  cluster.provider.on(key, gated(key, tokens));
  const stream = await send(key);
  for (const index of tokens.keys()) {
    await cluster.walk(stream, key, tokens, index);
    front.reload();
    const other = await send(newKey());
    expect(await other.ended).toBe("terminal");
  }
  expect(await stream.ended).toBe("terminal");
  expect(stream.text).toBe(tokens.join(""));
  countCases(context, tokens.length);
});
