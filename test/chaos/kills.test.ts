// SIGKILL at random points: of two servers on one database, A and B die alternately under live
// turns and restart on the same port. Everything a client has seen must still be there, byte for
// byte, and every reader must hear of the outcome in time. The moment, also within a commit, and
// each answer's pace are random.
import { randomUUID } from "node:crypto";
import { beforeAll, expect, test } from "vitest";
import { eventBytesOf, header, messageBody, newKey, type TestServer, testCluster, textOf } from "@/test/server/cluster";
import { type EventStream, openStream } from "@/test/sse";
import { underLoad } from "@/test/under-load";
import { countCases, randomFrom, sized } from "./trial";

const leaseMs = 2_000;
const silenceMs = leaseMs + 2_000;
const cluster = testCluster({ servers: 2, env: { LEASE_MS: String(leaseMs), HEARTBEAT_MS: "250" } });
const kills = sized(6, 50);
/**
 * Turns of the dying server, those among them without any answer, turns of the other server, and
 * sends in flight.
 */
const sizes = { dying: 10, late: 2, living: 2, sending: 2 };
/** Duration of a commit plus the pause before it: the kill hits any part of it. */
const commitMs = 30;
let slowestMs = 0;

type Live = {
  script: string;
  stream: EventStream;
  turnId: string;
  chatId: string;
  /** Its provider is silent before the kill: the takeover must ask again for the whole answer. */
  late: boolean;
  /** On the surviving server, from the beginning. */
  reader: EventStream;
  /** A second reader on the turn's own server, for some turns. */
  neighbour: EventStream | undefined;
};

/** A send and its response; null if its server died before answering. */
type Sent = { body: ReturnType<typeof messageBody>; first: Promise<EventStream | null> };

const lateGate = (gate: string) => `${gate}, late`;

beforeAll(async () => {
  // Each server loads every route once before measuring.
  for (const server of [cluster.a, cluster.b]) await (await cluster.send(newKey(), {}, { server })).ended;
});

/** A turn whose answer begins when `gate` opens; with `late`, when the late gate does. */
async function startTurn(
  server: TestServer,
  gate: string,
  random: () => number,
  { late = false, withNeighbour = false } = {},
): Promise<Live> {
  const key = newKey();
  const script = Array.from({ length: 100 + Math.floor(random() * 100) }, (_, index) => `word${index}`).join(" ");
  cluster.provider.on(key, [
    { gate: late ? lateGate(gate) : gate },
    { tokens: script, ...(!late && { perSecond: 50 + random() * 100 }) },
    { finish: "stop" },
  ]);
  const stream = await cluster.send(key, { searchMode: "none" }, { server });
  const turnId = header(stream, "x-turn-id");
  const other = server === cluster.a ? cluster.b : cluster.a;
  const [reader, neighbour] = await Promise.all([
    cluster.follow(turnId, { server: other }),
    withNeighbour ? cluster.follow(turnId, { server }) : undefined,
  ]);
  return { script, stream, turnId, chatId: header(stream, "x-chat-id"), late, reader, neighbour };
}

function send(server: TestServer): Sent {
  const body = messageBody(newKey(), { chatId: randomUUID() });
  const first = openStream(`${server.url}/api/chat`, { token: cluster.user.token, body }).then(
    async (stream) => {
      await stream.ended;
      return stream;
    },
    (error: NodeJS.ErrnoException) => {
      expect(error.code).toMatch(/^ECONN/);
      return null;
    },
  );
  return { body, first };
}

/** Resolves when the streams together have received this many characters, or have all ended. */
async function received(streams: EventStream[], characters: number): Promise<void> {
  const enough = () => streams.reduce((sum, { text }) => sum + text.length, 0) >= characters;
  const all = Promise.all(streams.map(({ ended }) => ended));
  await Promise.race([all, ...streams.map((stream) => stream.until(enough).catch(() => all))]);
}

/** The reader's longest silence after the kill, until its answer ends or continues. */
function longestSilenceMs({ frames }: EventStream, killedAtMs: number): number {
  const timesMs = [killedAtMs, ...frames.map(({ atMs }) => atMs).filter((atMs) => atMs > killedAtMs)];
  return Math.max(0, ...timesMs.slice(1).map((atMs, index) => atMs - (timesMs[index] as number)));
}

async function checkTurn(live: Live, survivor: TestServer, killedAtMs: number): Promise<string> {
  const { stream, turnId, chatId, late, reader, neighbour, script } = live;
  const [{ status }, replay, stored] = await Promise.all([
    cluster.turn(turnId, { server: survivor }),
    cluster.follow(turnId, { server: survivor }),
    cluster.answer(chatId, { server: survivor }).then(textOf),
  ]);
  expect(await replay.ended).toBe("terminal");
  expect(late ? ["complete"] : ["complete", "interrupted"]).toContain(status);
  expect(stored).toBe(replay.text);
  expect(status === "complete" ? stored === script : script.startsWith(stored)).toBe(true);

  const bytes = eventBytesOf(replay);
  for (const client of [stream, reader, neighbour])
    if (client) expect(bytes.startsWith(eventBytesOf(client))).toBe(true);
  expect(eventBytesOf(reader)).toBe(bytes);

  const rows = await cluster.sql<{ seq: number; type: string }[]>`
    select seq, chunk->>'type' as type from turn_chunks where turn_id = ${turnId} order by seq`;
  expect(rows.map(({ seq }) => seq)).toEqual(rows.map((_, index) => index + 1));
  const terminals = rows.filter(({ type }) => ["finish", "abort", "error"].includes(type));
  expect(terminals).toEqual([{ seq: rows.length, type: status === "complete" ? "finish" : "error" }]);

  const silentMs = longestSilenceMs(reader, killedAtMs);
  slowestMs = Math.max(slowestMs, silentMs);
  expect(silentMs).toBeLessThan(underLoad(silenceMs));
  return status;
}

/**
 * What a client does after losing its server: resume on the other one at its cursor. Must end with
 * the whole answer.
 */
async function moveOn({ stream, turnId, chatId }: Live, survivor: TestServer): Promise<void> {
  const moved = await openStream(`${survivor.url}/api/turns/${turnId}/stream`, {
    token: cluster.user.token,
    after: stream,
  });
  if (moved.status !== 204) expect(await moved.ended).toBe("terminal");
  expect(moved.text).toBe(textOf(await cluster.answer(chatId, { server: survivor })));
}

/**
 * Repeats a send that may have been lost with its server: one turn, one question, wherever the
 * first attempt died.
 */
async function sendAgain({ body, first }: Sent, survivor: TestServer): Promise<void> {
  const before = await first;
  const again = await openStream(`${survivor.url}/api/chat`, { token: cluster.user.token, body });
  expect(again.status).toBe(200);
  expect(await again.ended).toBe("terminal");
  const [rows] = await cluster.sql`
    select
      (select count(*)::int from turns where chat_id = ${body.id}) as turns,
      (select count(*)::int from messages where chat_id = ${body.id} and role = 'user') as questions,
      (select count(*)::int from messages where chat_id = ${body.id} and role = 'assistant') as answers`;
  expect(rows).toEqual({ turns: 1, questions: 1, answers: 1 });
  // The second response agrees with what the first one said.
  const known = before ? [header(before, "x-turn-id")] : [];
  expect([header(again, "x-turn-id")]).toEqual(expect.arrayContaining(known));
  expect(eventBytesOf(again).startsWith(before ? eventBytesOf(before) : "")).toBe(true);
}

test.for(Array.from({ length: kills }, (_, index) => index + 1))(
  "I1 I2 I3 I4 I5 I7 I9: SIGKILL %i with live turns: nothing seen is lost, and every reader learns the end in time",
  async (kill, context) => {
    const random = randomFrom(1_000 + kill);
    const [name, dying, survivor] =
      kill % 2 ? (["a", cluster.a, cluster.b] as const) : (["b", cluster.b, cluster.a] as const);
    const gate = `kill ${kill}`;
    const [turns, others] = await Promise.all([
      Promise.all(
        Array.from({ length: sizes.dying }, (_, index) =>
          startTurn(dying, gate, random, { late: index < sizes.late, withNeighbour: index % 3 === 0 }),
        ),
      ),
      Promise.all(Array.from({ length: sizes.living }, () => startTurn(survivor, gate, random))),
    ]);
    const length = turns.reduce((sum, { script }) => sum + script.length, 0);
    const target = Math.floor(random() * 0.7 * length);
    cluster.provider.open(gate);
    await received(
      turns.map(({ stream }) => stream),
      target,
    );
    const sends = Array.from({ length: sizes.sending }, () => send(dying));
    await new Promise((resolve) => setTimeout(resolve, random() * commitMs));
    await dying.kill("SIGKILL");
    const killedAtMs = performance.now();
    cluster.provider.open(lateGate(gate));

    const restarted = cluster.start({ port: dying.port });
    for (const { stream, reader, neighbour } of turns) {
      expect(await reader.ended).toBe("terminal");
      for (const cut of [stream, neighbour]) expect(["terminal", "reset", undefined]).toContain(await cut?.ended);
    }
    cluster[name] = await restarted;

    const states = await Promise.all(turns.map((live) => checkTurn(live, survivor, killedAtMs)));
    await Promise.all(turns.map((live) => moveOn(live, survivor)));
    await Promise.all(sends.map((sent) => sendAgain(sent, survivor)));
    for (const { stream, script } of others) {
      expect(await stream.ended).toBe("terminal");
      expect(stream.text).toBe(script);
    }
    countCases(context, turns.length + others.length + sends.length);
    const broken = turns.filter((_, index) => states[index] === "interrupted");
    console.log(
      `SIGKILL ${kill} of ${name.toUpperCase()} at ${target} of ${length} characters: ${broken.length} of ${turns.length} turns interrupted, ` +
        `slowest reader informed after ${Math.round(slowestMs)} ms so far (limit ${silenceMs} ms)`,
    );
  },
);
