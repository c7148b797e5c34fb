// One send, one turn, whatever happens around it: many identical ones at once on two servers,
// before and after a SIGKILL, two different ones at the same moment, and a database outage during
// the send.
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { startFaultProxy } from "@/test/fault-proxy";
import {
  eventBytesOf,
  gated,
  gateOf,
  header,
  messageBody,
  newKey,
  type TestServer,
  testCluster,
  textOf,
} from "@/test/server/cluster";
import { holdTable, sendsWaiting } from "@/test/server/held-table";
import { type EventStream, openStream } from "@/test/sse";
import { countCases, randomFrom, sized } from "./trial";

const cluster = testCluster({ servers: 2, env: { LEASE_MS: "2000", HEARTBEAT_MS: "250" } });

type Body = ReturnType<typeof messageBody>;
const post = (server: TestServer, body: Body, headers: Record<string, string> = {}) =>
  openStream(`${server.url}/api/chat`, { token: cluster.user.token, body, headers });

async function rowsOf(chatId: string) {
  const [rows] = await cluster.sql`
    select
      (select count(*)::int from turns where chat_id = ${chatId}) as turns,
      (select count(*)::int from messages where chat_id = ${chatId}) as messages`;
  return rows;
}

test("I7 I3: fifty identical concurrent sends on two servers: one turn, one request, fifty identical streams", async (context) => {
  const rounds = sized(2, 20);
  for (let round = 0; round < rounds; round++) {
    const random = randomFrom(2_000 + round);
    const key = newKey();
    const tokens = ["Only", " once", " and", " whole."];
    cluster.provider.on(key, gated(key, tokens));
    const body = messageBody(key, { chatId: randomUUID() });
    const streams = await Promise.all(
      Array.from({ length: 50 }, () => post(random() < 0.5 ? cluster.a : cluster.b, body)),
    );
    expect(streams.map(({ status }) => status)).toEqual(Array(50).fill(200));
    expect(new Set(streams.map((stream) => header(stream, "x-turn-id"))).size).toBe(1);
    for (const index of tokens.keys()) {
      const seen = tokens.slice(0, index + 1).join("");
      await Promise.all(streams.map((stream) => stream.until(({ text }) => text === seen)));
      cluster.provider.open(gateOf(key, index));
    }
    expect(new Set(await Promise.all(streams.map(({ ended }) => ended)))).toEqual(new Set(["terminal"]));
    expect(new Set(streams.map(eventBytesOf)).size).toBe(1);
    expect(streams[0]?.text).toBe(tokens.join(""));
    expect(await rowsOf(body.id)).toEqual({ turns: 1, messages: 2 });
    expect(cluster.requestsFor(key).length).toBe(1);
  }
  countCases(context, rounds * 50);
});

test.each([
  ["a new chat", true],
  ["an existing chat", false],
] as const)(
  "I7: two different concurrent sends in %s: one is answered, the other gets the running turn's id",
  async (_name, fresh) => {
    const rounds = sized(3, 25);
    const chatId = randomUUID();
    if (!fresh) await cluster.api("POST", "/api/chats", { body: { id: chatId } });
    for (let round = 0; round < rounds; round++) {
      const keys = [newKey(), newKey()];
      for (const key of keys) cluster.provider.on(key, gated(key, ["Hello."]));
      const chat = fresh ? randomUUID() : chatId;
      // Both have found the chat idle and wait before the deciding insert.
      const barrier = await holdTable(cluster, "turns");
      const sent = Promise.all(
        [cluster.a, cluster.b].map((server, index) =>
          post(server, messageBody(keys[index] as string, { chatId: chat })),
        ),
      );
      await sendsWaiting(cluster, 2);
      await barrier.release();
      const streams = await sent;
      expect(streams.map(({ status }) => status).sort()).toEqual([200, 409]);
      const [won, lost] = [200, 409].map((wanted) => streams.findIndex(({ status }) => status === wanted)) as [
        number,
        number,
      ];
      const winner = streams[won] as EventStream;
      expect(JSON.parse(streams[lost]?.body ?? "")).toMatchObject({
        error: { code: "turn_running", turnId: header(winner, "x-turn-id") },
      });
      cluster.provider.open(gateOf(keys[won] as string, 0));
      expect(await winner.ended).toBe("terminal");
      expect(keys.map((key) => cluster.requestsFor(key).length)).toEqual(won === 0 ? [1, 0] : [0, 1]);
      expect(await rowsOf(chat)).toEqual(
        fresh ? { turns: 1, messages: 2 } : { turns: round + 1, messages: 2 * (round + 1) },
      );
    }
  },
);

/** When a send's server dies, and the outcome of the same send elsewhere. */
type Death = {
  moment: string;
  /** Sends, and resolves at that moment; `release` removes what holds it there. */
  begin(body: Body, key: string): Promise<{ first: Promise<EventStream>; release(): Promise<void> }>;
  /** Only a turn without any answer is asked again. */
  requests: number;
  text: string;
};
const tokens = ["One", " two."];
let killed = false;
const open = (key: string, to: number) => {
  for (let index = -1; index <= to; index++) cluster.provider.open(gateOf(key, index));
};
const deaths: Death[] = [
  {
    moment: "while it is being stored",
    async begin(body) {
      const barrier = await holdTable(cluster, "messages");
      const first = post(cluster.a, body);
      await sendsWaiting(cluster, 1);
      return { first, release: () => barrier.release() };
    },
    requests: 1,
    text: "One two.",
  },
  {
    moment: "before the provider said anything",
    async begin(body, key) {
      const first = post(cluster.a, body);
      await cluster.provider.reached(gateOf(key, -1));
      return { first, release: async () => {} };
    },
    requests: 2,
    text: "One two.",
  },
  {
    moment: "in the middle of the answer",
    async begin(body, key) {
      open(key, -1);
      const first = post(cluster.a, body);
      await (await first).until(({ text }) => text === "One");
      return { first, release: async () => {} };
    },
    requests: 1,
    text: "One",
  },
];

/** After a test that killed A. */
async function reviveA(): Promise<void> {
  if (killed) cluster.a = await cluster.start({ port: cluster.a.port });
  killed = false;
}

test.for(deaths)(
  "I7 I1 I2 I9: its server is killed $moment: repeating the send on another server is the same turn",
  async (death, context) => {
    const rounds = sized(1, 5);
    for (let round = 0; round < rounds; round++) {
      await reviveA();
      const key = newKey();
      cluster.provider.on(key, [{ gate: gateOf(key, -1) }, ...gated(key, tokens)]);
      const body = messageBody(key, { chatId: randomUUID() });
      const { first, release } = await death.begin(body, key);
      const answered = first.catch(() => null);
      killed = await cluster.a.kill("SIGKILL");
      await release();
      open(key, 1);
      const before = await answered;
      await before?.ended;
      const again = await Promise.all([post(cluster.b, body), post(cluster.b, body)]);
      const [stream] = again as [EventStream, EventStream];
      expect(again.map(({ status }) => status)).toEqual([200, 200]);
      expect(await Promise.all(again.map(({ ended }) => ended))).toEqual(["terminal", "terminal"]);
      expect(new Set(again.map(eventBytesOf)).size).toBe(1);
      expect(eventBytesOf(stream).startsWith(before ? eventBytesOf(before) : "")).toBe(true);
      const ids = [before, ...again].flatMap((each) => (each ? [header(each, "x-turn-id")] : []));
      expect(new Set(ids).size).toBe(1);
      expect(await rowsOf(body.id)).toEqual({ turns: 1, messages: 2 });
      expect([stream.text, cluster.requestsFor(key).length]).toEqual([death.text, death.requests]);
      expect(textOf(await cluster.answer(body.id, { server: cluster.b }))).toBe(death.text);
    }
    countCases(context, rounds);
  },
);

test(
  "I8 I7: database down: 503 and no provider request; repeating the send is one turn, even if the first was in doubt",
  async (context) => {
    const database = new URL(cluster.databaseUrl);
    const proxy = await startFaultProxy({ host: database.hostname, port: Number(database.port) });
    database.port = String(proxy.port);
    database.hostname = "localhost";
    const server = await cluster.start({ env: { DATABASE_URL: database.href } });
    const rounds = sized(2, 10);
    const refused = async (sent: Promise<EventStream>, key: string) => {
      const { status, body, headers } = await sent;
      expect([status, JSON.parse(body).error.code]).toEqual([503, "unavailable"]);
      expect(Number(headers["retry-after"])).toBeGreaterThanOrEqual(1);
      expect(cluster.requestsFor(key).length).toBe(0);
    };
    try {
      for (let round = 0; round < rounds; round++) {
        const keys = [newKey(), newKey()] as const;
        const [away, lost] = keys.map((key) => messageBody(key, { chatId: randomUUID() })) as [Body, Body];
        const barrier = await holdTable(cluster, "messages");
        const sent = post(server, lost);
        await sendsWaiting(cluster, 1);
        proxy.down();
        await refused(sent, keys[1]);
        await barrier.release();
        await refused(post(server, away), keys[0]);
        expect(await rowsOf(away.id)).toEqual({ turns: 0, messages: 0 });
        proxy.up();
        await expect.poll(async () => (await fetch(`${server.url}/api/ready`)).status, { interval: 20 }).toBe(200);
        for (const [index, body] of [away, lost].entries()) {
          const again = await Promise.all([post(server, body), post(cluster.b, body)]);
          expect(await Promise.all(again.map(({ ended }) => ended))).toEqual(["terminal", "terminal"]);
          expect(again.map(({ text }) => text)).toEqual(["Hello there.", "Hello there."]);
          expect(await rowsOf(body.id)).toEqual({ turns: 1, messages: 2 });
          expect(cluster.requestsFor(keys[index] as string).length).toBe(1);
        }
      }
    } finally {
      await server.kill("SIGKILL");
      await proxy.close();
    }
    countCases(context, rounds * 2);
  },
  sized(120_000, 300_000),
);
