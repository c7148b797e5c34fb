// A connection that breaks at any byte of a response: in its head, in chunk framing, inside a
// character or an id, between two line feeds. A client always ends up with the same text.
import { randomUUID } from "node:crypto";
import { setMaxListeners } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { startFaultProxy } from "@/test/fault-proxy";
import { type Script, tokensOf } from "@/test/provider";
import { gated, header, newKey, testCluster } from "@/test/server/cluster";
import { type Asked, type CutClient, cutClients } from "./cut-clients";
import { countCases, randomFrom, sized } from "./trial";

const cluster = testCluster();

const words = "One — two, three: 日本語 und Grüße, four 👋🏽 five; six “seven” eight, nine naïve ten, eleven. Twelve!";
const tokens = tokensOf(words);
/** Concurrent cuts; they mostly wait for a reconnect. */
const atOnce = 128;

let ended: Asked;
/** Size of the ended turn's response, from the status line on. */
let responseBytes: number;

beforeAll(async () => {
  // One of the clients is made for browsers.
  vi.stubGlobal("window", globalThis);
  const document = new EventTarget();
  setMaxListeners(0, document);
  vi.stubGlobal("document", document);
  vi.stubGlobal("addEventListener", () => {});
  ended = await ask(gated);
  const stream = await cluster.follow(ended.turnId);
  await cluster.walk(stream, ended.text, tokens);
  expect(await stream.ended).toBe("terminal");
  responseBytes = await countBytes(ended);
  expect(responseBytes).toBeGreaterThan(4_000);
});
afterAll(() => {
  vi.unstubAllGlobals();
});

/** Asks without reading the response. */
async function ask(script: (key: string, tokens: string[]) => Script): Promise<Asked> {
  const text = newKey();
  cluster.provider.on(text, script(text, tokens));
  const [chatId, messageId] = [randomUUID(), randomUUID()];
  const stream = await cluster.send(text, { chatId, messageId, searchMode: "none" });
  stream.close();
  return { turnId: header(stream, "x-turn-id"), chatId, messageId, text, token: cluster.user.token };
}

function countBytes({ turnId, token }: Asked): Promise<number> {
  return new Promise((resolve, reject) => {
    let bytes = 0;
    const socket = connect(cluster.a.port, "localhost");
    socket.write(`GET /api/turns/${turnId}/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n`);
    socket.write("Connection: close\r\n\r\n");
    socket.on("data", (data) => {
      bytes += data.length;
    });
    socket.on("end", () => resolve(bytes));
    socket.on("error", reject);
  });
}

/** Every `step`-th byte of a response, from a random start. */
function cutsOf(step: number, client: CutClient): number[] {
  const first = 1 + Math.floor(randomFrom(cutClients.indexOf(client))() * step);
  return Array.from({ length: Math.ceil((responseBytes - first + 1) / step) }, (_, index) => first + index * step);
}

async function readCut({ read }: CutClient, asked: Asked, cut: number): Promise<string> {
  const proxy = await startFaultProxy(cluster.a.port);
  proxy.cutAfter(cut, 1);
  try {
    return await read(proxy.url, asked);
  } finally {
    await proxy.close();
  }
}

/** The same as over an unbroken connection. */
async function expectSame(client: CutClient, asked: Asked, texts: string[]): Promise<void> {
  const whole = client.records ? await client.read(cluster.a.url, asked) : words;
  const wrong = texts.filter((text) => text !== whole);
  if (!client.losesAtLastLineFeed) return expect(wrong).toEqual([]);
  // This client takes an id at the end of its line and delivers the event one line feed later: cut
  // at exactly that byte, it resumes after an event that it has not delivered, whatever the server
  // sends. One byte per frame is its own bug.
  const stream = await cluster.follow(asked.turnId);
  await stream.ended;
  const deltas = stream.chunks.flatMap((chunk) => (chunk.type === "text-delta" ? [chunk.delta] : []));
  expect(wrong.length).toBeLessThanOrEqual(deltas.length);
  for (const text of wrong) expect(deltas.map((_, index) => deltas.toSpliced(index, 1).join(""))).toContain(text);
}

test.for(cutClients.map((client) => ({ client, name: client.name, step: sized(client.often ? 16 : 64, 1) })))(
  "I3 I6: resumes a finished turn cut at one byte in $step, $name",
  { timeout: 600_000 },
  async ({ client, step }, context) => {
    const cuts = cutsOf(step, client);
    const texts: string[] = [];
    let next = 0;
    const worker = async () => {
      for (let index = next++; index < cuts.length; index = next++)
        texts[index] = await readCut(client, ended, cuts[index] as number);
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
    expect(texts).toHaveLength(cuts.length);
    await expectSame(client, ended, texts);
    countCases(context, cuts.length);
  },
);

test("I3 I6: every client resumes live turns cut mid-stream", async (context) => {
  const jobs = cutClients.flatMap((client) =>
    cutsOf(sized(128, client.often ? 1 : 8), client).map((cut) => ({ client, cut })),
  );
  for (let from = 0; from < jobs.length; from += atOnce) {
    // Far enough apart to be stored and sent one by one, as long as the machine is not busy.
    const asked = await ask(() => [{ tokens: words, perSecond: 40 }, { finish: "stop" }]);
    const batch = jobs.slice(from, from + atOnce);
    const texts = await Promise.all(batch.map(({ client, cut }) => readCut(client, asked, cut)));
    for (const client of new Set(batch.map((job) => job.client)))
      await expectSame(
        client,
        asked,
        texts.filter((_, index) => batch[index]?.client === client),
      );
  }
  countCases(context, jobs.length);
}, 900_000);
