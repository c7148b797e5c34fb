// Requests that are too large, too slow, or lie about their length, on every kind of endpoint; and
// forged cursors. The server refuses early, holds almost no memory meanwhile, and keeps serving
// others.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { header, median, newKey, testCluster } from "@/test/server/cluster";
import { measured, mebibytes, memoryOf } from "./memory";
import { countCases, seed, sized } from "./trial";

const cluster = testCluster({ env: measured });

const mebibyte = 1_048_576;
const endlessBytes = sized(64, 1_024) * mebibyte;
/** The largest cap, the socket buffers of two kernels, and data in flight. */
const takenBytes = 36 * mebibyte;
const allowedBytes = 16 * mebibyte;

type Door = { path: string; type: string; begin: string };
const json = { type: "application/json", begin: '{"text":"' };
const form = { type: "application/x-www-form-urlencoded", begin: "email=" };
const doors: Door[] = [
  { path: "/api/chat", ...json },
  { path: "/api/chats", ...json },
  { path: "/api/tokens", ...json },
  { path: "/api/users", ...json },
  { path: "/api/v1/chat", ...json },
  { path: "/api/v1/chat/stream", ...json },
  { path: "/chat/1/stream", ...json },
  { path: "/sessions/1/messages/stream", ...json },
  { path: "/v1/chat/completions", ...json },
  { path: "/api/auth/callback/credentials", ...form },
  { path: "/api/auth/signout", ...form },
  {
    path: "/api/documents",
    type: "multipart/form-data; boundary=edge",
    begin: '--edge\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n',
  },
];

function head(path: string, fields: Record<string, string>): string {
  const all = { Host: "localhost", Authorization: `Bearer ${cluster.user.token}`, ...fields };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST ${path} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

function dial(): Socket {
  const socket = connect(cluster.a.port, "localhost");
  // The server may reset it; `close` follows.
  socket.on("error", () => {});
  return socket;
}

/** Everything the server sends until it hangs up. */
function allOf(socket: Socket): Promise<string> {
  let text = "";
  socket.on("data", (bytes) => {
    text += bytes.toString("latin1");
  });
  return new Promise((resolve) => socket.on("close", () => resolve(text)));
}

function statusOf(text: string): number {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1]);
}

function residentBytes(): number {
  return 1_024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${cluster.a.pid}/status`, "utf8"))?.[1]);
}

/** An endless chunked body, sent as long as the server accepts it, whatever it answers. */
async function sendEndless({ path, type, begin }: Door) {
  const socket = dial();
  const response = allOf(socket);
  const chunk = (bytes: Buffer) =>
    Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]);
  socket.write(head(path, { "Content-Type": type, "Transfer-Encoding": "chunked" }));
  socket.write(chunk(Buffer.from(begin)));
  const piece = chunk(Buffer.alloc(mebibyte, "x"));
  let gone = false;
  response.then(() => {
    gone = true;
  });
  let peak = 0;
  let sent = 0;
  while (!gone && sent < endlessBytes) {
    sent += mebibyte;
    if (!socket.write(piece)) await Promise.race([new Promise((resolve) => socket.once("drain", resolve)), response]);
    peak = Math.max(peak, residentBytes());
  }
  const hungUp = gone;
  socket.destroy();
  return { status: statusOf(await response), sent, peak, hungUp };
}

beforeAll(async () => {
  // The first use of an endpoint loads its code.
  for (const door of doors)
    await fetch(cluster.a.url + door.path, {
      method: "POST",
      headers: { authorization: `Bearer ${cluster.user.token}`, "content-type": door.type },
      body: "{}",
    }).then((answer) => answer.text());
});

test(`rejects a body of ${endlessBytes / mebibyte} MiB without Content-Length on every endpoint at once`, async (context) => {
  const before = await memoryOf(cluster.a);
  const resident = residentBytes();
  // In parallel: an unread connection closes seconds later, when its keep-alive ends.
  const results = await Promise.all(doors.map(async (door) => ({ ...(await sendEndless(door)), path: door.path })));
  const after = await memoryOf(cluster.a);
  const peak = Math.max(...results.map((result) => result.peak));
  console.log(
    [
      ...results.map(({ path, status, sent }) => `${path}: ${status} after ${mebibytes(sent)} MiB`),
      `${mebibytes(peak - resident)} MiB more resident at most, ${mebibytes(after.used - before.used)} MiB kept`,
    ].join("\n"),
  );
  for (const { path, status, sent, hungUp } of results) {
    expect([path, status, hungUp]).toEqual([path, 413, true]);
    expect(sent).toBeLessThan(takenBytes);
  }
  expect(peak - resident).toBeLessThan(doors.length * allowedBytes);
  expect(after.used - before.used).toBeLessThan(allowedBytes);
  countCases(context, doors.length);
});

test("rejects an oversized Content-Length before reading the body", async () => {
  for (const { path, type } of doors) {
    const socket = dial();
    const response = allOf(socket);
    const first = new Promise<string>((resolve) => socket.once("data", (bytes) => resolve(bytes.toString("latin1"))));
    socket.write(head(path, { "Content-Type": type, "Content-Length": String(1_024 * mebibyte) }));
    expect([path, statusOf(await first)]).toEqual([path, 413]);
    socket.destroy();
    await response;
  }
});

test("a wrong Content-Length: a short body blocks nobody else, excess bytes are not a request", async () => {
  for (const { path, type } of doors) {
    const short = dial();
    const cutOff = allOf(short);
    short.end(head(path, { "Content-Type": type, "Content-Length": "1000" }) + json.begin);
    expect([path, statusOf(await cutOff)]).toEqual([path, expect.not.toBeOneOf([200, 201, 500])]);

    const long = dial();
    const refused = allOf(long);
    long.write(`${head(path, { "Content-Type": type, "Content-Length": "2" })}{}${"x".repeat(100_000)}`);
    expect([path, (await refused).match(/^HTTP\/1\.1 \d{3}/gm)?.at(-1)]).toEqual([path, "HTTP/1.1 405"]);

    const both = dial();
    const unclear = allOf(both);
    both.write(
      `${head(path, { "Content-Type": type, "Content-Length": "2", "Transfer-Encoding": "chunked" })}0\r\n\r\n`,
    );
    expect([path, statusOf(await unclear)]).toEqual([path, 400]);
  }
});

test("trickling headers and bodies block nobody", async (context) => {
  const count = sized(200, 1_000);
  const answerMs = async () => {
    const times: number[] = [];
    for (let run = 0; run < 5; run++) {
      const startMs = performance.now();
      expect((await cluster.api("GET", "/api/chats")).status).toBe(200);
      times.push(performance.now() - startMs);
    }
    return median(times);
  };
  const before = { ms: await answerMs(), memory: await memoryOf(cluster.a) };
  const body = head("/api/chat", { "Content-Type": "application/json", "Content-Length": "100000" });
  const sockets = Array.from({ length: count }, (_, index) => {
    const socket = dial();
    socket.write(index % 2 === 0 ? "POST /api/chat HTTP/1.1\r\nHost: loc" : body);
    return socket;
  });
  const trickle = setInterval(() => {
    for (const socket of sockets) socket.write("a");
  }, 100);
  await Promise.all(
    sockets.map((socket) => socket.connecting && new Promise((resolve) => socket.once("connect", resolve))),
  );
  const during = { ms: await answerMs(), memory: await memoryOf(cluster.a) };
  clearInterval(trickle);
  for (const socket of sockets) socket.destroy();
  const eachKiB = (during.memory.used - before.memory.used) / count / 1_024;
  console.log(
    `${count} slow requests: ${eachKiB.toFixed(1)} KiB each; others answered in ${before.ms.toFixed()} → ${during.ms.toFixed()} ms`,
  );
  expect(eachKiB).toBeLessThan(128);
  expect(during.ms).toBeLessThan(before.ms * 3 + 500);
  countCases(context, count);
});

test("I20: forged cursors are rejected or not found, never a server error", { timeout: 240_000 }, async (context) => {
  const stream = await cluster.send(newKey(), { searchMode: "none" });
  expect(await stream.ended).toBe("terminal");
  const [turnId, chatId] = [header(stream, "x-turn-id"), header(stream, "x-chat-id")];
  await cluster.api("POST", "/chat/1/stream", { body: { question: newKey() } });
  const paths = [
    `/api/turns/${turnId}/stream`,
    `/api/turns/${turnId}/stream?dialect=openai`,
    `/api/chat/${chatId}/stream`,
    "/chat/1/stream",
    "/api/v1/chat/stream",
  ];
  const number = fc.oneof(fc.integer({ min: -2, max: 40 }), fc.integer(), fc.maxSafeInteger()).map(String);
  const id = fc.constantFrom(turnId, chatId, randomUUID(), turnId.toUpperCase(), "");
  const almost = fc.tuple(id, fc.array(number, { maxLength: 4 })).map(([first, rest]) => [first, ...rest].join("."));
  const anything = fc.string({ unit: "binary", maxLength: 300 });
  const inHeader = fc.oneof(almost, fc.string({ unit: "grapheme-ascii", maxLength: 300 }));
  const call = fc.oneof(
    fc.oneof(almost, anything).map((cursor) => ({ query: encodeURIComponent(cursor.toWellFormed()), headers: {} })),
    inHeader.map((cursor) => ({ query: "", headers: { "last-event-id": cursor } })),
  );
  const statuses: Record<number, number> = {};
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...paths), call, async (path, { query, headers }) => {
      const url = `${path}${path.includes("?") ? "&" : "?"}after=${query}`;
      const { status } = await cluster.api("GET", url, { headers });
      statuses[status] = (statuses[status] ?? 0) + 1;
      expect([200, 204, 400, 404]).toContain(status);
    }),
    { seed, numRuns: sized(200, 3_000) },
  );
  console.log(`answers to cursors: ${JSON.stringify(statuses)}`);
  expect(cluster.a.output()).not.toMatch(/request failed|unhandled/i);
  countCases(context, sized(200, 3_000));
});
