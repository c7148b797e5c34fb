// Clients that leave before, during and after the start of the response: nothing opened for them
// stays open. The figures come from the server's own log (docs/operations.md, "Health and logs").
import { randomUUID } from "node:crypto";
import { connect } from "node:net";
import { expect, test } from "vitest";
import { randomFrom } from "@/test/chaos/trial";
import { gated, gateOf, header, messageBody, newKey, type TestServer, testCluster } from "./cluster";

const cluster = testCluster({ env: { HEARTBEAT_MS: "200" } });

type Figures = { streams: number; heartbeats: number; feeds: number; readers: number; tails: number; turns: number };
const nothing: Figures = { streams: 0, heartbeats: 0, feeds: 0, readers: 0, tails: 0, turns: 0 };

function figuresIn(output: string): Figures[] {
  const lines = output.split("\n").filter((line) => line.includes('"msg":"open"'));
  return lines.map((line) => {
    const { streams, heartbeats, feeds, readers, tails, turns } = JSON.parse(line) as Figures;
    return { streams, heartbeats, feeds, readers, tails, turns };
  });
}

async function figures(server: TestServer): Promise<Figures> {
  const before = figuresIn(server.output()).length;
  server.signal("SIGUSR2");
  await expect.poll(() => figuresIn(server.output()).length, { interval: 5 }).toBeGreaterThan(before);
  return figuresIn(server.output()).at(-1) as Figures;
}

/** Sends the request on its own connection and destroys that after `afterMs`. */
function leaveAfter(afterMs: number, method: string, path: string, body?: unknown): Promise<void> {
  const text = body === undefined ? "" : JSON.stringify(body);
  const head = [
    `${method} ${path} HTTP/1.1`,
    "Host: localhost",
    `Authorization: Bearer ${cluster.user.token}`,
    "Accept: text/event-stream",
    ...(body === undefined ? [] : ["Content-Type: application/json", `Content-Length: ${Buffer.byteLength(text)}`]),
  ];
  return new Promise((resolve, reject) => {
    const socket = connect(cluster.a.port, "localhost");
    socket.on("error", reject);
    socket.on("close", () => resolve());
    socket.on("connect", () =>
      socket.write(`${head.join("\r\n")}\r\n\r\n${text}`, () => setTimeout(() => socket.destroy(), afterMs)),
    );
    socket.resume();
  });
}

test("I13: 1,000 early disconnects leave no stream, feed, reader, tail or heartbeat behind", async () => {
  const random = randomFrom(11);
  const key = newKey();
  cluster.provider.on(key, gated(key, ["One"]));
  const live = await cluster.send(key);
  await live.until(({ text }) => text === "One");
  const [turnId, chatId] = [header(live, "x-turn-id"), header(live, "x-chat-id")];
  const say = (more = {}) => ({ message: "Hello.", conversation_id: randomUUID(), ...more });
  const requests: ((afterMs: number) => Promise<void>)[] = [
    (ms) => leaveAfter(ms, "POST", "/api/chat", messageBody("Hello.")),
    (ms) => leaveAfter(ms, "GET", `/api/turns/${turnId}/stream`),
    (ms) => leaveAfter(ms, "GET", `/api/turns/${turnId}/stream?dialect=openai`),
    (ms) => leaveAfter(ms, "HEAD", `/api/turns/${turnId}/stream`),
    (ms) => leaveAfter(ms, "GET", `/api/chat/${chatId}/stream`),
    (ms) => leaveAfter(ms, "GET", `/api/chats/${chatId}/events`),
    (ms) => leaveAfter(ms, "GET", "/api/health/stream"),
    (ms) => leaveAfter(ms, "POST", "/api/v1/chat", say({ stream: true })),
    (ms) => leaveAfter(ms, "POST", "/api/v1/chat", say({ stream: false })),
    (ms) => leaveAfter(ms, "GET", `/chat/${chatId}/stream`),
  ];
  const before = await figures(cluster.a);
  expect(before).toEqual({ streams: 1, heartbeats: 1, feeds: 0, readers: 1, tails: 1, turns: 1 });

  let sent = 0;
  const someone = async () => {
    while (sent < 1_000) {
      const ask = requests[sent++ % requests.length] as (afterMs: number) => Promise<void>;
      // A response begins 2 to 40 ms after its request here, ten in parallel; squared, so that most
      // clients leave before it.
      await ask(Math.floor(random() ** 2 * 60));
    }
  };
  await Promise.all(Array.from({ length: 10 }, someone));
  await expect.poll(() => figures(cluster.a), { timeout: 10_000 }).toEqual(before);
  cluster.provider.open(gateOf(key, 0));
  expect(await live.ended).toBe("terminal");
  await expect.poll(() => figures(cluster.a), { timeout: 10_000 }).toEqual(nothing);
  expect(cluster.a.output()).not.toMatch(/"level":"(error|fatal)"/);
}, 60_000);
